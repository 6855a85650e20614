package dev.sluice.gateway.inference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import dev.sluice.gateway.testing.ExampleModels;
import dev.sluice.gateway.testing.InferMessages;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.Wire;
import dev.sluice.proto.control.v1.LoadVersionRequest;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxTestData;
import dev.sluice.runtime.testing.OnnxTestData.TestSet;
import dev.sluice.runtime.testing.TensorAssertions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/// Real models answer over the wire as their test data says, whatever form their inputs travel in.
class ConformanceTest {

  @TestFactory
  Stream<DynamicTest> everyVersionOfTheExampleModelsAnswersAsRecorded(@TempDir Path data) throws Exception {
    return everyVersionOf(ExampleModels.repository(), data);
  }

  @TestFactory
  Stream<DynamicTest> everyVersionOfTheSharedModelsAnswersAsRecorded(@TempDir Path data) throws Exception {
    Path models = OnnxTestData.sharedModels().orElse(null);
    if (models == null) {
      return abort("no folder shared/models above the working directory and no " + OnnxTestData.MODELS_VARIABLE);
    }
    return everyVersionOf(models, data);
  }

  private Stream<DynamicTest> everyVersionOf(Path models, Path data) throws Exception {
    List<Path> versions = versions(models);
    assertThat(versions).isNotEmpty();
    RunningGateway gateway = RunningGateway.start(models, data);
    for (Path version : versions) {
      // Also those that the model's own policy does not serve.
      gateway.models().loadVersion(LoadVersionRequest.newBuilder()
          .setModel(model(version)).setVersion(Long.parseLong(number(version))).build());
    }
    return versions.stream()
        .flatMap(version -> tests(gateway, version, models.relativize(version)))
        .onClose(gateway::close);
  }

  private static Stream<DynamicTest> tests(RunningGateway gateway, Path version, Path label) {
    List<TestSet> sets = OnnxTestData.sets(version);
    assertThat(sets).as("test data of %s", label).isNotEmpty();
    return sets.stream().flatMap(set -> {
      String name = label + " " + set.name();
      DynamicTest raw = dynamicTest(
          name + " raw", () -> check(gateway, version, set, InferMessages.raw(model(version), set.inputs())));
      Stream<DynamicTest> byVersion = InferMessages.canBeTyped(set.inputs())
          ? Stream.of(raw, dynamicTest(
              name + " typed", () -> check(gateway, version, set, InferMessages.typed(model(version), set.inputs()))))
          : Stream.of(raw);
      return isDefault(version) ? Stream.concat(byVersion, overEveryWire(gateway, version, set, name)) : byVersion;
    });
  }

  /// Of the version that answers who names none.
  private static Stream<DynamicTest> overEveryWire(RunningGateway gateway, Path version, TestSet set, String name) {
    List<String> outputs = set.outputs().stream().map(Tensor::name).toList();
    return Arrays.stream(Wire.values())
        .filter(wire -> Stream.concat(set.inputs().stream(), set.outputs().stream())
            .allMatch(tensor -> wire.carries(tensor.datatype())))
        .map(wire -> dynamicTest(name + " " + wire, () -> {
          List<Tensor> answer = wire.infer(gateway, model(version), set.inputs(), outputs);
          assertThat(answer).hasSameSizeAs(outputs);
          for (int i = 0; i < outputs.size(); i++) {
            TensorAssertions.assertClose(answer.get(i), set.outputs().get(i));
          }
        }));
  }

  private static boolean isDefault(Path version) {
    long number = Long.parseLong(number(version));
    return !Files.exists(version.resolveSibling(Long.toString(number + 1)));
  }

  private static void check(
      RunningGateway gateway, Path version, TestSet set, ModelInferRequest.Builder request) {
    request.setModelVersion(number(version)).setId(set.name());
    ModelInferResponse all = gateway.inference().modelInfer(request.build());

    assertThat(all.getModelName()).isEqualTo(model(version));
    assertThat(all.getModelVersion()).isEqualTo(number(version));
    assertThat(all.getId()).isEqualTo(set.name());
    assertThat(all.getParametersMap()).isEmpty();
    assertThat(set.outputs()).isNotEmpty();
    for (Tensor expected : set.outputs()) {
      TensorAssertions.assertClose(
          InferMessages.outputs(all).stream()
              .filter(output -> output.name().equals(expected.name())).findFirst().orElseThrow(),
          expected);
      ModelInferResponse alone = gateway.inference().modelInfer(
          request.clone().addOutputs(InferMessages.output(expected.name())).build());
      assertThat(InferMessages.outputs(alone))
          .singleElement()
          .satisfies(output -> TensorAssertions.assertClose(output, expected));
    }
  }

  private static List<Path> versions(Path models) throws IOException {
    try (Stream<Path> files = Files.walk(models, 3)) {
      return files.filter(file -> file.endsWith("model.onnx")).map(Path::getParent).sorted().toList();
    }
  }

  private static String model(Path version) {
    return version.getName(version.getNameCount() - 2).toString();
  }

  private static String number(Path version) {
    return version.getFileName().toString();
  }
}
