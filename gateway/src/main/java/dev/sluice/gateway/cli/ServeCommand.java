package dev.sluice.gateway.cli;

import dev.sluice.gateway.Gateway;
import dev.sluice.gateway.StartFailure;
import dev.sluice.gateway.config.GatewayConfig;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `sluice serve`: runs a gateway until it is told to stop.
@Command(
    name = "serve",
    description = "Serve the models of a repository.",
    sortOptions = false,
    footer = {
      "",
      "SIGTERM ends it gracefully: not ready any more, calls in flight finish, exit 0."
    })
public final class ServeCommand implements Callable<Integer> {

  @Spec
  @SuppressWarnings("NullAway.Init") // set by picocli
  private CommandSpec spec;

  @Option(
      names = {"--model-repository", "--model-store"},
      required = true,
      paramLabel = "DIR",
      description = "The models, laid out as Triton's: DIR/<model>/<version>/model.onnx.")
  private Path modelRepository = Path.of("models");

  @Option(
      names = "--data-dir",
      paramLabel = "DIR",
      defaultValue = "${env:SLUICE_DATA_DIR:-sluice-data}",
      description = "Control state: rollouts, history, evidence (default: ${DEFAULT-VALUE}).")
  private Path dataDirectory = Path.of("sluice-data");

  @Option(
      names = "--host",
      defaultValue = "0.0.0.0",
      description = "Where inference and metrics listen (default: ${DEFAULT-VALUE}).")
  private String host = "0.0.0.0";

  @Option(
      names = "--grpc-port",
      defaultValue = "" + GatewayConfig.GRPC_PORT,
      paramLabel = "PORT",
      description = "Inference over gRPC (default: ${DEFAULT-VALUE}; 0: any free port).")
  private int grpcPort;

  @Option(
      names = "--http-port",
      defaultValue = "" + GatewayConfig.HTTP_PORT,
      paramLabel = "PORT",
      description = "Inference over HTTP (default: ${DEFAULT-VALUE}; 0: any free port).")
  private int httpPort;

  @Option(
      names = "--metrics-port",
      defaultValue = "" + GatewayConfig.METRICS_PORT,
      paramLabel = "PORT",
      description = "Prometheus metrics, /healthz and /readyz (default: ${DEFAULT-VALUE}).")
  private int metricsPort;

  @Option(
      names = "--control-port",
      defaultValue = "" + GatewayConfig.CONTROL_PORT,
      paramLabel = "PORT",
      description = "The control plane, on loopback only (default: ${DEFAULT-VALUE}).")
  private int controlPort;

  @Option(
      names = "--max-message-bytes",
      defaultValue = "" + GatewayConfig.MESSAGE_BYTES_MAX,
      paramLabel = "N",
      description = "The largest request (default: ${DEFAULT-VALUE}).")
  private int messageBytesMax;

  @Option(
      names = "--exit-timeout-secs",
      defaultValue = "30",
      paramLabel = "N",
      description = "How long calls in flight may take to finish at the end (default: ${DEFAULT-VALUE}).")
  private int exitTimeoutSeconds;

  @Override
  public Integer call() throws InterruptedException {
    GatewayConfig config;
    try {
      config =
          new GatewayConfig(
              modelRepository, dataDirectory, host, "127.0.0.1", grpcPort, httpPort, metricsPort, controlPort,
              messageBytesMax, Duration.ofSeconds(exitTimeoutSeconds));
    } catch (IllegalArgumentException e) {
      spec.commandLine().getErr().println("sluice: " + e.getMessage());
      return 2;
    }
    Gateway gateway;
    try {
      gateway = Gateway.start(config);
    } catch (StartFailure e) {
      spec.commandLine().getErr().println("sluice: " + e.getMessage());
      return 1;
    }
    CountDownLatch closed = new CountDownLatch(1);
    Runtime.getRuntime()
        .addShutdownHook(
            Thread.ofPlatform()
                .name("sluice-shutdown")
                .unstarted(
                    () -> {
                      gateway.close();
                      closed.countDown();
                    }));
    spec.commandLine()
        .getErr()
        .printf(
            "sluice: ready: inference on %s:%d (gRPC) and %s:%d (HTTP), metrics on %s:%d, control on 127.0.0.1:%d%n",
            host, gateway.grpcPort(), host, gateway.httpPort(), host, gateway.metricsPort(), gateway.controlPort());
    closed.await();
    return 0;
  }
}
