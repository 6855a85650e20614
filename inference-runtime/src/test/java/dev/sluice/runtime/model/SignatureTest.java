package dev.sluice.runtime.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.TensorSpec;
import java.util.List;
import org.junit.jupiter.api.Test;

class SignatureTest {
  private static final TensorSpec A = new TensorSpec("a", Datatype.FP32, Shape.of(-1, 3));
  private static final TensorSpec B = new TensorSpec("b", Datatype.INT64, Shape.of());
  private static final TensorSpec Y = new TensorSpec("y", Datatype.FP32, Shape.of(-1));
  private static final Signature BASELINE = new Signature(List.of(A, B), List.of(Y), List.of(), 0);

  @Test
  void tensorsAreFoundByName() {
    assertThat(BASELINE.input("b")).isSameAs(B);
    assertThat(BASELINE.input("y")).isNull();
    assertThat(BASELINE.output("y")).isSameAs(Y);
  }

  @Test
  void theOrderOfTensorsDoesNotMatter() {
    assertThat(new Signature(List.of(B, A), List.of(Y), List.of("s"), 0).sameAs(BASELINE)).isTrue();
  }

  @Test
  void theFirstDifferenceIsPutInWords() {
    assertDifference(List.of(A), List.of(Y), 0, "input 'b' is missing");
    assertDifference(List.of(A, B, new TensorSpec("c", Datatype.BOOL, Shape.of())), List.of(Y), 0, "input 'c' is new");
    assertDifference(
        List.of(A, new TensorSpec("b", Datatype.INT32, Shape.of())),
        List.of(Y),
        0,
        "input 'b' is INT32 instead of INT64");
    assertDifference(
        List.of(A, B),
        List.of(new TensorSpec("y", Datatype.FP32, Shape.of(-1, 1))),
        0,
        "output 'y' has shape [-1, 1] instead of [-1]");
    assertDifference(List.of(A, B), List.of(Y), 8, "max_batch_size is 8 instead of 0");
  }

  @Test
  void twoTensorsOfOneNameAreRefused() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> new Signature(List.of(A, A), List.of(Y), List.of(), 0))
        .withMessage("two tensors are named 'a'");
  }

  private static void assertDifference(
      List<TensorSpec> inputs, List<TensorSpec> outputs, int maxBatchSize, String difference) {
    Signature candidate = new Signature(inputs, outputs, List.of(), maxBatchSize);
    assertThat(candidate.differenceFrom(BASELINE)).isEqualTo(difference);
    assertThat(candidate.sameAs(BASELINE)).isFalse();
  }
}
