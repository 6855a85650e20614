package dev.sluice.gateway.cli;

import dev.sluice.gateway.Gateway;
import dev.sluice.gateway.StartFailure;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.config.Listeners;
import dev.sluice.gateway.config.UnixListener;
import dev.sluice.runtime.model.ExecutionSettings.Device;
import dev.sluice.runtime.onnx.OnnxOptions;
import dev.sluice.runtime.repository.ConfigOptions;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
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
      names = "--model-config-name",
      paramLabel = "NAME",
      description = "In models that have it, configs/NAME.pbtxt takes the place of config.pbtxt.")
  private @Nullable String modelConfigName;

  @Option(
      names = "--disable-auto-complete-config",
      description = "Refuse models whose config.pbtxt leaves something out, instead of completing it from the model.")
  private boolean autoCompleteDisabled;

  @Option(
      names = "--default-max-batch-size",
      defaultValue = "" + ConfigOptions.DEFAULT_MAX_BATCH_SIZE,
      paramLabel = "N",
      description = {
        "The largest batch that is formed of requests to a model about which nothing is said",
        "and whose rows prove independent (default: ${DEFAULT-VALUE}; 0: none is formed)."
      })
  private int defaultMaxBatchSize;

  @Option(
      names = "--backend-config",
      paramLabel = "onnxruntime,KEY=VALUE",
      description = {
        "A setting of ONNX Runtime, as Triton spells it: default-max-batch-size=N; enable-global-threadpool=1 for one pool",
        "of threads that all models share; intra_op_thread_count=N and inter_op_thread_count=N for that pool's threads,",
        "or else those of each model that does not say (default: 1; 0: one for each processor)."
      })
  private List<String> backendConfig = List.of();

  @Option(
      names = "--device",
      defaultValue = "cpu",
      paramLabel = "cpu|gpu|auto",
      description = {
        "Where models run whose configuration does not say (default: ${DEFAULT-VALUE}; auto: on a GPU where one can be",
        "used, else on the CPU). See docs/gpu.md."
      })
  private String device = "cpu";

  @Option(
      names = "--ignore-unknown-config-fields",
      description = "Ignore what Triton's model configuration does not have, with a warning, instead of refusing it.")
  private boolean unknownConfigFieldsIgnored;

  @Mixin private SourceOptions sources = new SourceOptions();

  @Option(
      names = "--data-dir",
      paramLabel = "DIR",
      defaultValue = "${env:SLUICE_DATA_DIR:-sluice-data}",
      description = "Control state: rollouts, history, evidence (default: ${DEFAULT-VALUE}).")
  private Path dataDirectory = Path.of("sluice-data");

  @Option(
      names = "--id",
      defaultValue = GatewayConfig.SERVER_NAME,
      paramLabel = "NAME",
      description = "What clients are told the server is called (default: ${DEFAULT-VALUE}).")
  private String serverName = GatewayConfig.SERVER_NAME;

  @Option(
      names = "--host",
      defaultValue = "0.0.0.0",
      description = "Where inference and metrics listen (default: ${DEFAULT-VALUE}).")
  private String host = "0.0.0.0";

  @Option(
      names = "--grpc-port",
      defaultValue = "" + Listeners.GRPC_PORT,
      paramLabel = "PORT",
      description = "Inference over gRPC (default: ${DEFAULT-VALUE}; 0: any free port).")
  private int grpcPort;

  @Option(
      names = "--grpc-uds",
      paramLabel = "PATH",
      description = "A Unix domain socket for inference over gRPC besides the port, for clients on this machine.")
  private @Nullable Path grpcUnixSocket;

  @Option(
      names = "--grpc-uds-mode",
      defaultValue = "660",
      paramLabel = "MODE",
      description = "The socket's permissions, octal (default: ${DEFAULT-VALUE}, its owner and group).")
  private String grpcUnixSocketMode = "660";

  @Option(
      names = "--http-port",
      defaultValue = "" + Listeners.HTTP_PORT,
      paramLabel = "PORT",
      description = "Inference over HTTP (default: ${DEFAULT-VALUE}; 0: any free port).")
  private int httpPort;

  @Option(
      names = "--metrics-port",
      defaultValue = "" + Listeners.METRICS_PORT,
      paramLabel = "PORT",
      description = "Prometheus metrics, /healthz and /readyz (default: ${DEFAULT-VALUE}).")
  private int metricsPort;

  @Option(
      names = "--control-port",
      defaultValue = "" + Listeners.CONTROL_PORT,
      paramLabel = "PORT",
      description = "The control plane, on loopback only (default: ${DEFAULT-VALUE}).")
  private int controlPort;

  @Option(
      names = "--max-message-bytes",
      defaultValue = "" + Listeners.MESSAGE_BYTES_MAX,
      paramLabel = "N",
      description = "The largest request (default: ${DEFAULT-VALUE}).")
  private int messageBytesMax;

  @Option(
      names = "--max-inflight-bytes",
      paramLabel = "N",
      description = "Bytes of requests in memory at once, all callers together (default: a quarter of the heap).")
  private long inFlightBytesMax = Listeners.inFlightBytesDefault();

  @Option(
      names = "--exit-timeout-secs",
      defaultValue = "30",
      paramLabel = "N",
      description = "How long calls in flight may take to finish at the end (default: ${DEFAULT-VALUE}).")
  private int exitTimeoutSeconds;

  @Option(
      names = "--warm-up-ms",
      defaultValue = "400",
      paramLabel = "MS",
      description = {
        "How long requests of the gateway's own take the way of callers' requests before it is ready",
        "(default: ${DEFAULT-VALUE}; 0: none do). They are counted nowhere."
      })
  private long warmUpMs;

  @Mixin
  private ModelControlOptions modelControl = new ModelControlOptions();

  @Mixin
  private GrpcFlags grpcFlags = new GrpcFlags();

  @Mixin
  private CacheOptions cacheOptions = new CacheOptions();

  @Override
  public Integer call() throws InterruptedException {
    GatewayConfig config;
    OnnxOptions onnxOptions;
    try {
      BackendConfig backend = BackendConfig.of(backendConfig);
      onnxOptions = backend.onnxOptions(device());
      backend.ignored().forEach(flag -> spec.commandLine().getErr().println("sluice: ignored --backend-config=" + flag));
      config =
          new GatewayConfig(
              modelRepository,
              dataDirectory,
              serverName,
              new Listeners(
                  host, "127.0.0.1", httpPort, grpcPort, metricsPort, controlPort, messageBytesMax, inFlightBytesMax,
                  Duration.ofSeconds(exitTimeoutSeconds), unixListener()),
              configOptions(backend),
              grpcFlags.options(),
              sources.settings(dataDirectory, System.getenv()),
              modelControl.value(),
              cacheOptions.bytes(),
              Duration.ofMillis(warmUpMs));
    } catch (IllegalArgumentException e) {
      spec.commandLine().getErr().println("sluice: " + e.getMessage());
      return 2;
    }
    Gateway gateway;
    try {
      gateway = Gateway.start(config, onnxOptions);
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
            "sluice: ready: inference on %s:%d%s (gRPC) and %s:%d (HTTP), metrics on %s:%d, control on 127.0.0.1:%d%n",
            host, gateway.grpcPort(), grpcUnixSocket == null ? "" : ", unix:" + grpcUnixSocket, host, gateway.httpPort(), host, gateway.metricsPort(), gateway.controlPort());
    closed.await();
    return 0;
  }

  private ConfigOptions configOptions(BackendConfig backend) {
    int maxBatchSize = backend.defaultMaxBatchSize().orElse(defaultMaxBatchSize);
    return new ConfigOptions(!autoCompleteDisabled, maxBatchSize, unknownConfigFieldsIgnored, modelConfigName);
  }

  private @Nullable UnixListener unixListener() {
    if (grpcUnixSocket == null) {
      return null;
    }
    if (!grpcUnixSocketMode.matches("[0-7]{1,4}")) {
      throw new IllegalArgumentException(
          "grpc-uds-mode: '%s'; expected octal permissions, as 660".formatted(grpcUnixSocketMode));
    }
    return new UnixListener(grpcUnixSocket, Integer.parseInt(grpcUnixSocketMode, 8));
  }

  private Device device() {
    return switch (device) {
      case "cpu" -> Device.CPU;
      case "gpu" -> Device.GPU;
      case "auto" -> Device.AUTO;
      default -> throw new IllegalArgumentException("device: '%s'; expected 'cpu', 'gpu' or 'auto'".formatted(device));
    };
  }
}
