package dev.sluice.gateway.demo;

import static java.nio.charset.StandardCharsets.UTF_8;

import ch.qos.logback.classic.Level;
import dev.sluice.examples.fraud.PaymentStream;
import dev.sluice.gateway.Gateway;
import dev.sluice.gateway.StartFailure;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.config.Listeners;
import dev.sluice.gateway.config.UnixListener;
import dev.sluice.loadtest.LoadTest;
import dev.sluice.loadtest.LoadTestPlan;
import dev.sluice.loadtest.LoadTestPlan.Load;
import dev.sluice.loadtest.report.LoadReport;
import dev.sluice.proto.control.v1.CreateRolloutRequest;
import dev.sluice.proto.control.v1.RolloutServiceGrpc;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/// `sluice prepare`: what a gateway does in its first minute, done once so that the JVM can take notes of it.
///
/// The launcher runs it with `-XX:AOTCacheOutput`; the classes that were loaded and the profiles of the methods that
/// were hot go into a cache from which later processes start. So it has to do what they will do: requests over gRPC, on
/// the port and on a socket, with and without a rollout, and over HTTP, and a look at the metrics.
@Command(
    name = "prepare",
    description = {
      "Serve the demo's model to itself for some seconds, so that later starts are fast.",
      "Only ./sluice prepare keeps what the JVM learns of it; it is also done by itself after a build."
    })
public final class PrepareCommand implements Callable<Integer> {
  private static final Duration PORT_LOAD = Duration.ofSeconds(6);
  private static final Duration SOCKET_LOAD = Duration.ofSeconds(2);

  /// The first step of the rollout, a shadow, ends after 8 s; the canary has the rest.
  private static final Duration ROLLOUT_LOAD = Duration.ofSeconds(12);

  private static final Duration WARM_UP = Duration.ofMillis(400);
  private static final int HTTP_REQUESTS = 500;
  private static final int IN_FLIGHT = 16;

  @Spec
  @SuppressWarnings("NullAway.Init") // set by picocli
  private CommandSpec spec;

  @Override
  public Integer call() throws IOException, InterruptedException {
    ((ch.qos.logback.classic.Logger) LoggerFactory.getLogger(Logger.ROOT_LOGGER_NAME)).setLevel(Level.ERROR);
    try (DemoFiles files = new DemoFiles()) {
      files.deliver(1);
      files.deliver(2);
      UnixListener socket = new UnixListener(files.models().resolveSibling("socket"), UnixListener.MODE);
      GatewayConfig config =
          GatewayConfig.onFreePorts(files.models(), files.data())
              .with(Listeners.onFreePorts().with(socket))
              .withWarmUp(WARM_UP);
      try (Gateway gateway = Gateway.start(config)) {
        String port = "127.0.0.1:" + gateway.grpcPort();
        load(port, PORT_LOAD);
        load("unix:" + socket.path(), SOCKET_LOAD);
        release(gateway);
        load(port, ROLLOUT_LOAD);
        overHttp(gateway);
      }
      return 0;
    } catch (StartFailure e) {
      spec.commandLine().getErr().println("sluice: " + e.getMessage());
      return 1;
    }
  }

  private static void load(String target, Duration duration) throws IOException, InterruptedException {
    LoadTestPlan plan =
        LoadTestPlan.of(target, "fraud", new Load.ClosedLoop(IN_FLIGHT), new PaymentTraffic(new PaymentStream(1)))
            .withWarmUp(Duration.ZERO)
            .withDuration(duration)
            .withDeadline(Duration.ofSeconds(10));
    LoadReport report = LoadTest.run(plan, progress -> {});
    if (report.answered() == 0) {
      throw new IOException("no request to %s was answered: %s".formatted(target, report.errors()));
    }
  }

  private static void release(Gateway gateway) throws IOException {
    ManagedChannel channel =
        Grpc.newChannelBuilder("127.0.0.1:" + gateway.controlPort(), InsecureChannelCredentials.create()).build();
    try {
      var _ =
          RolloutServiceGrpc.newBlockingStub(channel)
              .withDeadlineAfter(10, TimeUnit.SECONDS)
              .createRollout(
                  CreateRolloutRequest.newBuilder()
                      .setNote(DemoFiles.note("fraud-v2.yaml"))
                      .setActor("sluice prepare")
                      .build());
    } finally {
      channel.shutdownNow();
    }
  }

  private static void overHttp(Gateway gateway) throws IOException {
    String zeros = Arrays.stream(new int[21]).mapToObj(Integer::toString).collect(Collectors.joining(","));
    byte[] body =
        "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,21],\"data\":[%s]}]}"
            .formatted(zeros)
            .getBytes(UTF_8);
    for (int i = 0; i < HTTP_REQUESTS; i++) {
      HttpURLConnection call = open(gateway.httpPort(), "/v2/models/fraud/infer");
      call.setRequestMethod("POST");
      call.setDoOutput(true);
      call.setFixedLengthStreamingMode(body.length);
      try (OutputStream out = call.getOutputStream()) {
        out.write(body);
      }
      read(call);
    }
    read(open(gateway.metricsPort(), "/readyz"));
    read(open(gateway.metricsPort(), "/metrics"));
  }

  private static HttpURLConnection open(int port, String path) throws IOException {
    return (HttpURLConnection) URI.create("http://127.0.0.1:" + port + path).toURL().openConnection();
  }

  /// To its end, so that the connection is used again.
  private static void read(HttpURLConnection call) throws IOException {
    try (InputStream in = call.getInputStream()) {
      in.transferTo(OutputStream.nullOutputStream());
    }
  }
}
