package dev.sluice.gateway.cli;

import static dev.sluice.gateway.cli.Typed.sluice;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.Any;
import com.google.rpc.BadRequest;
import com.google.rpc.BadRequest.FieldViolation;
import com.google.rpc.Code;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ExitCodeTest {
  private final CannedServer server = new CannedServer();

  @AfterEach
  void stop() {
    server.close();
  }

  @ParameterizedTest
  @CsvSource({
    "CANCELLED, 1", "UNKNOWN, 1", "INVALID_ARGUMENT, 2", "DEADLINE_EXCEEDED, 7", "NOT_FOUND, 3", "ALREADY_EXISTS, 4",
    "PERMISSION_DENIED, 5", "RESOURCE_EXHAUSTED, 1", "FAILED_PRECONDITION, 6", "ABORTED, 4", "OUT_OF_RANGE, 2",
    "UNIMPLEMENTED, 1", "INTERNAL, 1", "UNAVAILABLE, 7", "DATA_LOSS, 1", "UNAUTHENTICATED, 5"
  })
  void everyStatusHasItsExitCodeAndOneLineOnStandardError(Status.Code code, int exitCode) {
    server.failure = code.toStatus().withDescription("rollout 'x': because\nof this").asRuntimeException();

    Typed typed = sluice(server, "rollout", "get", "x");

    assertThat(typed.exitCode()).isEqualTo(exitCode);
    assertThat(typed.out()).isEmpty();
    assertThat(typed.err().lines()).singleElement().asString()
        .startsWith("sluice: ").contains("rollout 'x': because of this");
  }

  @Test
  void aSilentServerIsATimeout() {
    server.silent = true;

    Typed typed = sluice(server, "rollout", "get", "x", "--timeout", "50ms");

    assertThat(typed.exitCode()).isEqualTo(7);
    assertThat(typed.err().lines()).singleElement().asString().startsWith("sluice: no answer within --timeout");
  }

  @Test
  void anAbsentServerIsUnreachableAndTheAddressIsNamed() {
    server.close();

    Typed typed = sluice(server, "models", "list");

    assertThat(typed.exitCode()).isEqualTo(7);
    assertThat(typed.err().lines()).singleElement().asString()
        .startsWith("sluice: the server cannot be reached: Connection refused").contains(server.address());
  }

  @Test
  void everyProblemOfANoteIsPrintedWithItsFile(@TempDir Path folder) throws IOException {
    Path note = Files.writeString(folder.resolve("note.yaml"), "model: fraud");
    server.failure = StatusProto.toStatusRuntimeException(com.google.rpc.Status.newBuilder()
        .setCode(Code.INVALID_ARGUMENT_VALUE)
        .setMessage("2 problems")
        .addDetails(Any.pack(BadRequest.newBuilder()
            .addFieldViolations(violation("steps[2].weight", "120 is not between 0 and 100"))
            .addFieldViolations(violation("owner", "missing"))
            .build()))
        .build());

    Typed typed = sluice(server, "rollout", "create", "-f", note.toString());

    assertThat(typed.exitCode()).isEqualTo(2);
    assertThat(typed.out()).isEmpty();
    assertThat(typed.err().lines()).containsExactly(
        note + ": steps[2].weight: 120 is not between 0 and 100", note + ": owner: missing");
  }

  @Test
  void aNoteThatIsNotThereIsAUsageErrorAndNothingIsSent() {
    Typed typed = sluice(server, "rollout", "create", "-f", "/nowhere/note.yaml");

    assertThat(typed.exitCode()).isEqualTo(2);
    assertThat(typed.err().lines()).containsExactly("sluice: /nowhere/note.yaml: there is no such file");
    assertThat(server.requests).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(strings = {
    "", "rollout", "rollot", "rollout get", "rollout get a b", "rollout set-weight a 10", "rollout get a -o xml",
    "rollout get a --timeout 10", "rollout get a --timeout 0s", "infer", "infer -m a --input =1", "models load a b"
  })
  void wrongUsageIsOneLineThatPointsToTheHelp(String line) {
    Typed typed = sluice(line.isEmpty() ? new String[0] : line.split(" "));

    assertThat(typed.exitCode()).isEqualTo(2);
    assertThat(typed.out()).isEmpty();
    assertThat(typed.err().lines().findFirst().orElseThrow()).startsWith("sluice: ").endsWith(" --help'");
  }

  @ParameterizedTest
  @ValueSource(strings = {
    "--help", "infer --help", "rollout --help", "rollout set-weight -h", "models --help", "help rollout", "--version",
    "generate-completion"
  })
  void askingForHelpSucceedsOnStandardOutput(String line) {
    Typed typed = sluice(line.split(" "));

    assertThat(typed.exitCode()).isZero();
    assertThat(typed.out()).isNotBlank();
    assertThat(typed.err()).isEmpty();
  }

  private static FieldViolation violation(String field, String description) {
    return FieldViolation.newBuilder().setField(field).setDescription(description).build();
  }
}
