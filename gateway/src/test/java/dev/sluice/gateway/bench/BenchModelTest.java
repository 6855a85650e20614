package dev.sluice.gateway.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.BareOnnxRuntime;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class BenchModelTest {

  @TempDir Path repository;

  @ParameterizedTest
  @EnumSource
  void rowsAreAnsweredOneByOneAsTheyAreTogether(BenchModel model) throws Exception {
    model.write(repository, 1, 2);
    try (BareOnnxRuntime onnx = BareOnnxRuntime.of(BenchModel.file(repository, model, 1))) {
      float[] both = run(onnx, model, 2, 1);
      float[] first = run(onnx, model, 1, 1);
      assertThat(both).hasSize(2 * model.outputColumns());
      for (int i = 0; i < first.length; i++) {
        assertThat(both[i]).isCloseTo(first[i], within(1e-4f)).isFinite();
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void theSecondVersionIsNearlyTheFirst(BenchModel model) throws Exception {
    model.write(repository, 1, 2);
    try (BareOnnxRuntime first = BareOnnxRuntime.of(BenchModel.file(repository, model, 1));
        BareOnnxRuntime second = BareOnnxRuntime.of(BenchModel.file(repository, model, 2))) {
      float[] answers = run(first, model, 1, 1);
      float[] others = run(second, model, 1, 1);
      for (int i = 0; i < answers.length; i++) {
        assertThat(others[i]).isCloseTo(answers[i], within(1e-3f));
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void aSeedMakesTheSameFileAgain(BenchModel model) throws Exception {
    model.write(repository.resolve("one"), 7, 2);
    model.write(repository.resolve("two"), 7, 2);
    assertThat(Files.readAllBytes(BenchModel.file(repository.resolve("one"), model, 1)))
        .isEqualTo(Files.readAllBytes(BenchModel.file(repository.resolve("two"), model, 1)));
  }

  private static float[] run(BareOnnxRuntime onnx, BenchModel model, int rows, long seed) throws Exception {
    var random = new SplittableRandom(seed);
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(rows * model.inputColumns() * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    while (bytes.hasRemaining()) {
      bytes.putFloat(random.nextFloat());
    }
    Tensor input =
        new Tensor(BenchModel.INPUT, Datatype.FP32, Shape.of(rows, model.inputColumns()), bytes.flip());
    ByteBuffer answer =
        onnx.run(List.of(input), List.of(BenchModel.OUTPUT)).getFirst().bytes().duplicate().order(ByteOrder.LITTLE_ENDIAN);
    var numbers = new float[answer.remaining() / Float.BYTES];
    answer.asFloatBuffer().get(numbers);
    return numbers;
  }
}
