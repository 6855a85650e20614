package dev.sluice.runtime.onnx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxTestData;
import dev.sluice.runtime.testing.OnnxTestData.TestSet;
import dev.sluice.runtime.testing.TensorAssertions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/// Models from the wild answer as their origins recorded it.
class SharedModelsTest {
  private final OnnxRuntime runtime = new OnnxRuntime();

  @TestFactory
  List<DynamicTest> everyVersionAnswersAsRecorded() throws IOException {
    Path models = OnnxTestData.sharedModels().orElse(null);
    if (models == null) {
      return abort("no folder shared/models above the working directory and no " + OnnxTestData.MODELS_VARIABLE);
    }
    try (Stream<Path> files = Files.walk(models, 3)) {
      return files
          .filter(file -> file.endsWith("model.onnx"))
          .map(Path::getParent)
          .sorted()
          .map(version -> DynamicTest.dynamicTest(models.relativize(version).toString(), () -> check(version)))
          .toList();
    }
  }

  private void check(Path version) throws Exception {
    try (Session session = runtime.load(version, ModelSettings.defaults())) {
      List<TestSet> sets = OnnxTestData.sets(version);
      assertThat(sets).isNotEmpty();
      for (TestSet set : sets) {
        List<String> outputs = set.outputs().stream().map(Tensor::name).toList();
        List<Tensor> answer = session.run(set.inputs(), outputs, RunControl.none());
        for (int i = 0; i < outputs.size(); i++) {
          TensorAssertions.assertClose(answer.get(i), set.outputs().get(i));
        }
      }
    }
  }
}
