package dev.sluice.gateway;

import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.sluice.gateway.cli.ServeCommand;
import dev.sluice.gateway.cli.SluiceCommand;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.config.Listeners;
import dev.sluice.gateway.config.UnixListener;
import dev.sluice.gateway.rpc.UnixSocketFile;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.loadtest.LoadTestCommand;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Inference over a Unix domain socket: the same service as on the port, and a file that is nobody else's.
@DisabledOnOs(OS.WINDOWS)
class UnixSocketTest {
  private static final ModelInferRequest REQUEST = raw("m", floats("x", Shape.of(1, 2), 3, 4)).build();

  @SuppressWarnings("NullAway.Init") // before each test
  private Path models;

  @SuppressWarnings("NullAway.Init") // before each test
  private Path data;

  @SuppressWarnings("NullAway.Init") // before each test
  private Path socket;

  @BeforeEach
  void makeRepository(@TempDir Path folder) throws IOException {
    models = Files.createDirectories(folder.resolve("models"));
    data = folder.resolve("data");
    socket = folder.resolve("s");
    OnnxModels.linear(1, 0, 2).writeTo(models, "m", 1);
  }

  @Test
  void aCallerOnTheSocketIsAnsweredAsOneOnThePort() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(config())) {
      ModelInferResponse onThePort = gateway.inference().modelInfer(REQUEST);
      assertThat(infer()).isEqualTo(onThePort);

      ManagedChannel channel = channel();
      try {
        assertThat(
                HealthGrpc.newBlockingStub(channel).check(HealthCheckRequest.getDefaultInstance()).getStatus())
            .isEqualTo(ServingStatus.SERVING);
      } finally {
        channel.shutdownNow();
      }
    }
  }

  @Test
  void theCommandsReachIt() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(config())) {
      Said infer = sluice("infer", "--target", "unix:" + socket, "-m", "m", "--input", "x=3,4");
      assertThat(infer.exitCode()).as(infer.err()).isZero();
      Said load =
          sluice(
              "loadtest", "--target", "unix:" + socket, "-m", "m", "--concurrency", "2", "--requests", "100",
              "--warmup", "0ms");
      assertThat(load.exitCode()).as(load.err()).isZero();
      assertThat(load.out()).contains("answered 100, failed 0");
      assertThat(gateway.gateway().grpcPort()).isPositive();
    }
    Said late = sluice("loadtest", "--target", "unix:" + socket, "-m", "m", "--concurrency", "2");
    assertThat(late.exitCode()).isEqualTo(7);
    assertThat(late.err()).hasLineCount(1).contains("unix:" + socket + " is unreachable");
  }

  @Test
  void itsFileIsForOwnerAndGroupUnlessToldOtherwiseAndGoneAfterwards() throws Exception {
    try (var _ = RunningGateway.start(config())) {
      assertThat(permissions()).isEqualTo("rw-rw----");
    }
    assertThat(socket).doesNotExist();
    try (var _ = RunningGateway.start(config(0602))) {
      assertThat(permissions()).isEqualTo("rw-----w-");
    }
    assertThat(socket).doesNotExist();
  }

  @Test
  void aSocketThatADeadProcessLeftIsReplaced() throws Exception {
    try (ServerSocketChannel dead = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      dead.bind(UnixDomainSocketAddress.of(socket));
    }
    assertThat(socket).exists();
    try (RunningGateway gateway = RunningGateway.start(config())) {
      assertThat(infer()).isEqualTo(gateway.inference().modelInfer(REQUEST));
    }
  }

  @Test
  void aSocketThatSomebodyServesIsRefused() throws Exception {
    try (RunningGateway first = RunningGateway.start(config())) {
      GatewayConfig second = config(models, data.resolveSibling("other-data"), UnixListener.MODE);
      assertThat(failure(second))
          .isEqualTo("grpc-uds: cannot listen on '%s': another process listens there", socket);
      assertThat(infer()).isEqualTo(first.inference().modelInfer(REQUEST));
    }
  }

  @Test
  void aFileThatIsNoSocketIsLeftAlone() throws Exception {
    Files.writeString(socket, "precious");
    assertThat(failure(config())).isEqualTo("grpc-uds: cannot listen on '%s': the file exists and is not a socket", socket);
    assertThat(socket).hasContent("precious");
  }

  @Test
  void aSuccessorsSocketSurvivesTheEndOfItsPredecessor() throws Exception {
    UnixListener listener = new UnixListener(socket, UnixListener.MODE);
    UnixSocketFile file = UnixSocketFile.free(listener);
    try (ServerSocketChannel first = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      first.bind(UnixDomainSocketAddress.of(socket));
      file.bound(listener.mode());
    }
    try (RunningGateway second = RunningGateway.start(config())) {
      file.close();
      assertThat(infer()).isEqualTo(second.inference().modelInfer(REQUEST));
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "--grpc-uds s --grpc-uds-mode 999 | sluice: grpc-uds-mode: '999'; expected octal permissions, as 660",
        "--grpc-uds s --grpc-uds-mode 1777 | sluice: grpc-uds-mode: 1777 is not between 0 and 777 (octal)",
        "--grpc-uds nosuch/s --grpc-port 0 | is not a directory",
      })
  void whatCannotBeIsNamed(String arguments, String message) {
    String[] all = ("serve --model-repository " + models + " --data-dir " + data
        + " --http-port 0 --metrics-port 0 --control-port 0 " + arguments).split(" ");
    Said said = sluice(all);
    assertThat(said.exitCode()).isIn(1, 2);
    assertThat(said.err().lines().filter(line -> line.startsWith("sluice: "))).singleElement().asString()
        .contains(message);
  }

  @Test
  void aPathThatTheKernelHasNoRoomForIsNamed() {
    Path longest = Path.of("/" + "d".repeat(106));
    assertThat(new UnixListener(longest, UnixListener.MODE).path()).isEqualTo(longest);
    assertThatThrownBy(() -> new UnixListener(Path.of("/" + "d".repeat(107)), UnixListener.MODE))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("grpc-uds: '/ddd").hasMessageEndingWith("has 108 bytes; expected 1 to 107");
  }

  // --- helpers -------------------------------------------------------------------------------------------------------

  private GatewayConfig config() {
    return config(UnixListener.MODE);
  }

  private GatewayConfig config(int mode) {
    return config(models, data, mode);
  }

  private GatewayConfig config(Path models, Path data, int mode) {
    return GatewayConfig.onFreePorts(models, data)
        .with(Listeners.onFreePorts().with(new UnixListener(socket, mode)));
  }

  private ManagedChannel channel() {
    return Grpc.newChannelBuilder("unix:" + socket, InsecureChannelCredentials.create()).build();
  }

  private ModelInferResponse infer() {
    ManagedChannel channel = channel();
    try {
      return GRPCInferenceServiceGrpc.newBlockingStub(channel).modelInfer(REQUEST);
    } finally {
      channel.shutdownNow();
    }
  }

  private String permissions() throws IOException {
    return PosixFilePermissions.toString(Files.getPosixFilePermissions(socket));
  }

  private static String failure(GatewayConfig config) {
    StartFailure failure = catchThrowableOfType(StartFailure.class, () -> Gateway.start(config));
    assertThat(failure).isNotNull();
    return String.valueOf(failure.getMessage());
  }

  private record Said(int exitCode, String out, String err) {}

  private static Said sluice(String... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int exitCode =
        SluiceCommand.commandLine(new ServeCommand(), new LoadTestCommand())
            .setOut(new PrintWriter(out, true))
            .setErr(new PrintWriter(err, true))
            .execute(arguments);
    return new Said(exitCode, out.toString(), err.toString());
  }
}
