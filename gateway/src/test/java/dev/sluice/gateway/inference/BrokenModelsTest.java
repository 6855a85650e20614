package dev.sluice.gateway.inference;

import static dev.sluice.gateway.testing.InferMessages.outputs;
import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.Tensors.floats;
import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.LoadVersionRequest;
import dev.sluice.proto.control.v1.ModelVersion;
import dev.sluice.proto.inference.ServerReadyRequest;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What cannot be loaded says why, and takes nothing else with it.
class BrokenModelsTest {

  @Test
  void eachBrokenVersionTellsItsReasonAndTheOthersAreServed(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    byte[] whole = OnnxModels.linear(2, 0, 2).model();
    OnnxGraph.write(models, "good", 1, whole);
    OnnxGraph.write(models, "mixed", 1, whole);
    OnnxGraph.write(models, "mixed", 2, "not a model".getBytes(US_ASCII));
    Files.writeString(models.resolve("mixed/config.pbtxt"), "version_policy: { all { } }\n");
    OnnxGraph.write(models, "cut", 1, Arrays.copyOf(whole, whole.length / 2));
    OnnxGraph.write(models, "nothing", 1, new byte[0]);
    OnnxModels.unknownOperator().writeTo(models, "unknown", 1);
    Files.write(folder.resolve("secret.bin"), new byte[8]);
    OnnxModels.externalWeights("../../../secret.bin", 2).writeTo(models, "outside", 1);
    OnnxModels.externalWeights("/etc/hostname", 2).writeTo(models, "absolute", 1);
    Files.createDirectories(models.resolve("hollow/1"));
    Files.createDirectories(models.resolve("none"));
    OnnxGraph.write(models, "misnamed", 1, whole);
    Files.writeString(models.resolve("misnamed/config.pbtxt"), "name: \"other\"\n");
    OnnxGraph.write(models, "garbled", 1, whole);
    Files.writeString(models.resolve("garbled/config.pbtxt"), "max_batch_size: many\n");

    try (RunningGateway gateway = RunningGateway.start(models, folder.resolve("data"))) {
      // It answers, and it says that not all it was asked for can be answered.
      assertThat(gateway.inference().serverReady(ServerReadyRequest.getDefaultInstance()).getReady()).isFalse();
      assertUnavailable(gateway, "mixed", 2, "mixed/2/model.onnx");
      assertUnavailable(gateway, "cut", 1, "cut/1/model.onnx");
      assertUnavailable(gateway, "nothing", 1, "nothing/1/model.onnx");
      assertUnavailable(gateway, "unknown", 1, "operator 'Frobnicate'");
      assertUnavailable(gateway, "outside", 1, "'../../../secret.bin'");
      assertUnavailable(gateway, "absolute", 1, "'/etc/hostname'");
      assertUnavailable(gateway, "hollow", 1, "hollow/1/model.onnx does not exist");
      assertUnavailable(gateway, "none", 0, "no version folder");
      assertUnavailable(gateway, "misnamed", 0, "name is 'other'; expected the folder's, 'misnamed'");
      assertUnavailable(gateway, "garbled", 0, "garbled/config.pbtxt, line 1");

      assertThat(version(gateway, "mixed", 1).getState()).isEqualTo("READY");
      assertThat(version(gateway, "mixed", 1).getIsDefault()).isTrue();
      for (String model : List.of("good", "mixed")) {
        assertThat(outputs(gateway.inference().modelInfer(raw(model, floats("x", Shape.of(1, 2), 3, 4)).build())))
            .containsExactly(floats("y", Shape.of(1, 2), 6, 8));
      }
    }
  }

  @Test
  void aVersionThatIsMendedLoadsWithoutARestart(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxGraph.write(models, "m", 1, new byte[] {1, 2, 3});
    try (RunningGateway gateway = RunningGateway.start(models, folder.resolve("data"))) {
      LoadVersionRequest load = LoadVersionRequest.newBuilder().setModel("m").setVersion(1).build();
      Refusal refusal = Refusal.of(() -> gateway.models().loadVersion(load));
      assertThat(refusal.code()).isEqualTo(Status.Code.FAILED_PRECONDITION);
      assertThat(refusal.message()).contains("m/1/model.onnx");

      OnnxModels.linear(2, 0, 2).writeTo(models, "m", 1);
      assertThat(gateway.models().loadVersion(load).getState()).isEqualTo("READY");
      OnnxGraph.write(models, "m", 1, new byte[] {1, 2, 3});
      assertThat(Refusal.of(() -> gateway.models().loadVersion(load)).message()).contains("m/1/model.onnx");

      assertThat(version(gateway, "m", 1).getState()).as("what was ready stays so").isEqualTo("READY");
      assertThat(version(gateway, "m", 1).getReason()).contains("not replaced", "m/1/model.onnx");
      assertThat(outputs(gateway.inference().modelInfer(raw("m", floats("x", Shape.of(1, 2), 3, 4)).build())))
          .containsExactly(floats("y", Shape.of(1, 2), 6, 8));
    }
  }

  private static void assertUnavailable(RunningGateway gateway, String model, long number, String words) {
    ModelVersion version = version(gateway, model, number);
    assertThat(version.getState()).isEqualTo("UNAVAILABLE");
    assertThat(version.getReason()).contains(words).doesNotContain("\n").hasSizeLessThan(700);
    assertThat(version.getIsDefault()).isFalse();
  }

  private static ModelVersion version(RunningGateway gateway, String model, long number) {
    return gateway.models().listModels(ListModelsRequest.newBuilder().setModel(model).build()).getVersionsList()
        .stream().filter(version -> version.getVersion() == number).findFirst().orElseThrow();
  }
}
