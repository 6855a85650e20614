package dev.sluice.gateway;

import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.Tensors.floats;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.params.provider.Arguments.argumentSet;

import io.grpc.StatusRuntimeException;
import dev.sluice.gateway.cli.ServeCommand;
import dev.sluice.gateway.cli.SluiceCommand;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.config.Listeners;
import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.proto.control.v1.ListEventsRequest;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.ListRolloutsRequest;
import dev.sluice.proto.control.v1.WatchRolloutRequest;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status.Code;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.Statement;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/// A gateway that cannot start says why in one sentence and leaves nothing behind; one that has lost its control state serves.
class StartTest {

  private static final String NOTE =
      """
      rollout: r
      model: m
      owner: test
      baseline: 1
      candidate: 2
      steps:
        - canary: 5%
          until: { observations: 1000000 }
      stopRules:
        - error-rate: { limit: 5% }
      """;

  @SuppressWarnings("NullAway.Init") // before each test
  private Path models;

  @SuppressWarnings("NullAway.Init") // before each test
  private Path data;

  @BeforeEach
  void makeRepository(@TempDir Path folder) throws IOException {
    models = Files.createDirectories(folder.resolve("models"));
    data = folder.resolve("data");
    OnnxModels.linear(1, 0, 2).writeTo(models, "m", 1);
    OnnxModels.linear(2, 0, 2).writeTo(models, "m", 2);
    Files.writeString(models.resolve("m/config.pbtxt"), "version_policy: { all { } }\n");
  }

  // --- what is refused -----------------------------------------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(strings = {"grpc-port", "metrics-port", "control-port"})
  void aPortInUseIsNamed(String setting) throws Exception {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      int port = taken.getLocalPort();

      String why =
          failure(
              config(
                  models, data, "127.0.0.1",
                  setting.equals("grpc-port") ? port : 0,
                  setting.equals("metrics-port") ? port : 0,
                  setting.equals("control-port") ? port : 0));

      assertThat(why).startsWith(setting + ": cannot listen on 127.0.0.1:" + port + ": ").contains("in use");
    }
    startsNow();
  }

  @Test
  void aRepositoryThatIsNotThereOrIsAFileIsNamed() throws Exception {
    Path file = Files.writeString(data.resolveSibling("file"), "", UTF_8);
    for (Path root : List.of(models.resolve("nosuch"), file)) {
      assertThat(failure(config(root, data, "127.0.0.1", 0, 0, 0)))
          .isEqualTo("model-repository: '%s' is not a directory that can be read", root);
    }
    startsNow();
  }

  @Test
  void aHostThatIsNotThisMachineIsNamed() throws Exception {
    assertThat(failure(config(models, data, "no.such.host.invalid", 0, 0, 0)))
        .isEqualTo("host: 'no.such.host.invalid' is not an address of this machine");
    assertThat(failure(config(models, data, "192.0.2.1", 0, 0, 0)))
        .startsWith("grpc-port: cannot listen on 192.0.2.1:0: ");
    startsNow();
  }

  /// A store that was there and fails now is no reason for an outage.
  @Test
  void aStoreThatFailsLeavesTheBaselinesServedAndRolloutsRefused() throws Exception {
    Path noStore = data.resolveSibling("no-store");
    Files.createDirectories(noStore.resolve("sluice.db"));
    Path noLedgers = Files.createDirectories(data.resolveSibling("no-ledgers"));
    Files.writeString(noLedgers.resolve("ledgers"), "", UTF_8);
    for (Path directory : List.of(noStore, noLedgers)) {
      try (RunningGateway gateway = RunningGateway.start(models, directory)) {
        assertThatThrownBy(() -> gateway.rollout("any"))
            .isInstanceOf(StatusRuntimeException.class)
            .hasMessageStartingWith("UNAVAILABLE: control state in " + directory);
        assertThat(gateway.gateway().metrics().scrape()).contains("sluice_store_readable 0.0");
      }
    }
  }

  @Test
  @EnabledOnOs(OS.LINUX) // where /proc is a folder in which nobody can make one
  void aDataDirectoryThatCannotBeWrittenIsNamed() throws Exception {
    Path file = Files.writeString(data.resolveSibling("file"), "", UTF_8);
    for (Path directory : List.of(file, file.resolve("below"), Path.of("/proc/sluice"))) {
      assertThat(failure(config(models, directory, "127.0.0.1", 0, 0, 0)))
          .startsWith("data-dir: ")
          .contains(directory.toString())
          .doesNotContain("Exception", "\n");
    }
    startsNow();
  }

  @Test
  void aDataDirectoryServesOneGateway() throws Exception {
    try (RunningGateway first = RunningGateway.start(models, data)) {
      assertThat(failure(config(models, data, "127.0.0.1", 0, 0, 0)))
          .contains(data.resolve("sluice.db").toString(), "in use by process " + ProcessHandle.current().pid());
      assertThat(answeringVersion(first)).isEqualTo("2");
    }
    startsNow();
  }

  // --- a control state that cannot be read ---------------------------------------------------------------------------

  interface Damage {
    void to(Path store) throws Exception;
  }

  private static Stream<Arguments> damages() {
    return Stream.of(
        argumentSet("an empty file", (Damage) store -> Files.write(store, new byte[0])),
        argumentSet("a foreign file", (Damage) store -> Files.writeString(store, "my notes\n".repeat(1000), UTF_8)),
        argumentSet("cut short", (Damage) store -> {
          byte[] bytes = Files.readAllBytes(store);
          Files.write(store, Arrays.copyOf(bytes, bytes.length / 2));
        }),
        argumentSet("a damaged beginning", (Damage) store -> flip(store, 0, 16)),
        argumentSet("damaged pages", (Damage) store -> flip(store, 4096, 3 * 4096)),
        argumentSet("another program's database", (Damage) store -> {
          Files.delete(store);
          try (Connection connection = DriverManager.getConnection("jdbc:sqlite:" + store);
              Statement statement = connection.createStatement()) {
            statement.execute("CREATE TABLE other (id INTEGER)");
          }
        }));
  }

  @ParameterizedTest
  @MethodSource("damages")
  void aDamagedStoreIsLeftAsItIsAndTheTrustedVersionAnswers(Damage damage) throws Exception {
    Path store = data.resolve("sluice.db");
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(NOTE);
      gateway.rollouts().abortRollout(AbortRolloutRequest.newBuilder().setName("r").build());
      assertThat(answeringVersion(gateway)).isEqualTo("1");
    }
    damage.to(store);
    byte[] damaged = Files.readAllBytes(store);

    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      assertThat(answeringVersion(gateway)).as("not the newest: it was on trial").isEqualTo("1");
      for (Refusal refusal :
          List.of(
              Refusal.of(() -> gateway.create(NOTE)),
              Refusal.of(() -> gateway.rollout("r")),
              Refusal.of(() -> gateway.rollouts().listRollouts(ListRolloutsRequest.getDefaultInstance())),
              Refusal.of(() -> gateway.rollouts().listEvents(ListEventsRequest.getDefaultInstance())),
              Refusal.of(() -> gateway.rollouts().watchRollout(WatchRolloutRequest.getDefaultInstance()).next()))) {
        assertThat(refusal.code()).isEqualTo(Code.UNAVAILABLE);
        assertThat(refusal.reason()).isEqualTo("UNAVAILABLE");
        assertThat(refusal.message()).startsWith("control state in " + data + ": ").contains("sluice.db");
      }
      assertThat(gateway.models().listModels(ListModelsRequest.getDefaultInstance()).getVersionsList()).hasSize(2);
      assertThat(gateway.gateway().metrics().scrape().lines()).contains("sluice_store_readable 0.0");
      assertThat(Files.readAllBytes(store)).isEqualTo(damaged);
    }
  }

  @Test
  void aReadableStoreIsShownAsSuch() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      assertThat(gateway.gateway().metrics().scrape().lines()).contains("sluice_store_readable 1.0");
    }
  }

  // --- the command line ----------------------------------------------------------------------------------------------

  @Test
  void theCommandLineTellsAFailureFromWrongUsage() throws Exception {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      String port = Integer.toString(taken.getLocalPort());
      assertThat(serve("--host", "127.0.0.1", "--grpc-port", port, "--http-port", "0", "--metrics-port", "0", "--control-port", "0"))
          .isEqualTo(new Said(1, "sluice: grpc-port: cannot listen on 127.0.0.1:" + port + ": Address already in use"));
    }
    assertThat(serve("--model-repository", "/nowhere"))
        .isEqualTo(new Said(1, "sluice: model-repository: '/nowhere' is not a directory that can be read"));
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', textBlock = """
      --grpc-port 70000         | sluice: grpc-port: 70000 is not between 0 and 65535
      --metrics-port -1         | sluice: metrics-port: -1 is not between 0 and 65535
      --max-message-bytes 10    | sluice: max-message-bytes: 10 is below 1024
      --exit-timeout-secs -5    | sluice: drain: PT-5S is negative
      --default-max-batch-size -1 | sluice: default-max-batch-size: -1; expected at least 0
      --model-config-name a/b   | sluice: model-config-name: 'a/b'; expected the name of a file in the models' folders 'configs', without '.pbtxt'
      --backend-config a=1 | sluice: backend-config: 'a=1': expected 'onnxruntime,KEY=VALUE'
      --device tpu | sluice: device: 'tpu'; expected 'cpu', 'gpu' or 'auto'
      --grpc-port http          | sluice: Invalid value for option '--grpc-port': 'http' is not an int; see 'sluice serve --help'
      --pinned-memory 1         | sluice: Unknown options: '--pinned-memory', '1'; see 'sluice serve --help'
      --model-control-mode often | sluice: Invalid value for option '--model-control-mode': 'often' is not a mode: expected none, poll or explicit; see 'sluice serve --help'
      --repository-poll-secs 0  | sluice: repository-poll-secs: 0 is not above 0
      --model-load-thread-count 0 | sluice: model-load-thread-count: 0 is not between 1 and 64
      --load-model m            | sluice: load-model: needs --model-control-mode=explicit; in the other modes every model is loaded
      --model-control-mode=explicit --load-model=m --load-model=* | sluice: load-model: '*' stands for all models and is given alone
      """)
  void wrongSettingsAreNamedOneByOne(String arguments, String said) {
    Said answer = serve(arguments.split(" "));

    assertThat(answer.exitCode()).isEqualTo(2);
    assertThat(answer.onStandardError().lines().findFirst()).contains(said);
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private record Said(int exitCode, String onStandardError) {}

  private Said serve(String... arguments) {
    StringWriter err = new StringWriter();
    String[] all =
        Stream.of(
                Stream.of("serve", "--data-dir", data.toString()),
                Arrays.asList(arguments).contains("--model-repository")
                    ? Stream.<String>of()
                    : Stream.of("--model-repository", models.toString()),
                Stream.of(arguments))
            .flatMap(part -> part)
            .toArray(String[]::new);
    int exitCode =
        SluiceCommand.commandLine(new ServeCommand()).setErr(new PrintWriter(err, true)).execute(all);
    return new Said(exitCode, err.toString().strip());
  }

  private static GatewayConfig config(Path models, Path data, String host, int grpc, int metrics, int control) {
    return GatewayConfig.onFreePorts(models, data)
        .with(
            new Listeners(
                host, "127.0.0.1", 0, grpc, metrics, control, Listeners.MESSAGE_BYTES_MAX, Duration.ofSeconds(5)));
  }

  private static String failure(GatewayConfig config) {
    StartFailure failure = catchThrowableOfType(StartFailure.class, () -> Gateway.start(config));
    assertThat(failure).isNotNull();
    return String.valueOf(failure.getMessage());
  }

  /// Nothing of a failed start is in the way of the next one.
  private void startsNow() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      assertThat(answeringVersion(gateway)).isEqualTo("2");
    }
  }

  private static String answeringVersion(RunningGateway gateway) {
    return gateway
        .inference()
        .modelInfer(raw("m", floats("x", Shape.of(1, 2), 3, 4)).build())
        .getModelVersion();
  }

  private static void flip(Path file, int from, int count) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    for (int i = from; i < Math.min(from + count, bytes.length); i++) {
      bytes[i] ^= 0x5a;
    }
    Files.write(file, bytes);
  }
}
