package dev.sluice.gateway.routing;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.router.comparison.Cause;
import dev.sluice.router.comparison.Comparison;
import dev.sluice.router.comparison.Disagreement;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class AnswerComparisonTest {

  private final AnswerComparison comparison =
      new AnswerComparison(
          Map.of("y", new Comparison.Numeric(0.5, 0), "z", new Comparison.TopOne(), "label", new Comparison.Exact()));

  @Test
  void outputsWithoutAComparisonAreNotCompared() {
    assertThat(comparison.applies(List.of("other"))).isFalse();
    assertThat(comparison.applies(List.of("other", "z"))).isTrue();
    assertThat(comparison.compare(List.of(floats("other", 1)), List.of(floats("other", 9)))).isEqualTo(Disagreement.NONE);
    assertThat(comparison.compare(List.of(), List.of())).isEqualTo(Disagreement.NONE);
  }

  @Test
  void theLargestDistanceOfAllOutputsCounts() {
    assertThat(
            comparison.compare(
                List.of(floats("y", 1), floats("z", 1, 2)), List.of(floats("y", 1.25f), floats("z", 2, 1))))
        .isEqualTo(new Disagreement(1, Cause.DISTANCE, 1));
    assertThat(
            comparison.compare(
                List.of(floats("y", 1), floats("z", 1, 2)), List.of(floats("y", 1.25f), floats("z", 1, 3))))
        .isEqualTo(new Disagreement(0.25, Cause.NONE, 0));
  }

  @Test
  void outputsAreFoundByName() {
    assertThat(
            comparison.compare(
                List.of(floats("y", 1), floats("z", 1, 2)), List.of(floats("z", 1, 3), floats("y", 1))))
        .isEqualTo(Disagreement.NONE);
  }

  @Test
  void whatCannotBeComparedHasANameThatOutlivesTheOtherOutputs() {
    Tensor good = floats("z", 1, 2);
    assertThat(causeOf(List.of(floats("y", 1), good), List.of(good))).isEqualTo(Cause.MISSING_OUTPUT);
    assertThat(causeOf(List.of(good), List.of(good, floats("y", 1)))).isEqualTo(Cause.MISSING_OUTPUT);
    assertThat(causeOf(List.of(floats("y", 1), good), List.of(floats("y", 1, 2), good))).isEqualTo(Cause.SHAPE);
    assertThat(causeOf(List.of(floats("y", Float.NaN), good), List.of(floats("y", 1), good))).isEqualTo(Cause.NOT_A_NUMBER);
    assertThat(causeOf(List.of(floats("y", 1), good), List.of(tensor("y", Datatype.INT32, 4), good)))
        .isEqualTo(Cause.DATATYPE);
    assertThat(comparison.compare(List.of(good), List.of(good))).as("nothing is left of it").isEqualTo(Disagreement.NONE);
  }

  @Test
  void textsAreTheSameOrNot() {
    Tensor one = tensor("label", Datatype.BYTES, 5);
    Tensor other = tensor("label", Datatype.BYTES, 5);
    assertThat(comparison.compare(List.of(one), List.of(other))).isEqualTo(Disagreement.NONE);
    other.bytes().put(4, (byte) 'x');
    assertThat(comparison.compare(List.of(one), List.of(other))).isEqualTo(new Disagreement(1, Cause.DISTANCE, 1));
  }

  @ParameterizedTest
  @EnumSource(value = Datatype.class, names = "BYTES", mode = EnumSource.Mode.EXCLUDE)
  void everyDatatypeIsRead(Datatype datatype) {
    Tensor one = tensor("label", datatype, 4 * datatype.byteSize());
    Tensor other = tensor("label", datatype, 4 * datatype.byteSize());
    assertThat(comparison.compare(List.of(one), List.of(other))).isEqualTo(Disagreement.NONE);
    other.bytes().put(2 * datatype.byteSize(), (byte) 1);
    assertThat(comparison.compare(List.of(one), List.of(other))).isEqualTo(new Disagreement(0.25, Cause.DISTANCE, 0.25));
  }

  private Cause causeOf(List<Tensor> baseline, List<Tensor> candidate) {
    return comparison.compare(baseline, candidate).cause();
  }

  private static Tensor floats(String name, float... values) {
    Tensor tensor = tensor(name, Datatype.FP32, values.length * Float.BYTES);
    tensor.bytes().asFloatBuffer().put(values);
    return tensor;
  }

  /// Of zeros.
  private static Tensor tensor(String name, Datatype datatype, int bytes) {
    long elements = bytes / Math.max(1, datatype.byteSize());
    ByteBuffer memory = ByteBuffer.allocateDirect(bytes).order(ByteOrder.LITTLE_ENDIAN);
    return new Tensor(name, datatype, Shape.of(1, elements), memory);
  }
}
