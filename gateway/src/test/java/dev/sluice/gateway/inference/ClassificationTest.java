package dev.sluice.gateway.inference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.Tensors;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ClassificationTest {

  @Test
  void theBestClassesComeFirstWithTheirLabels() throws InferenceFailure {
    Tensor scores = Tensors.floats("scores", Shape.of(2, 3), 0.1f, 0.7f, 0.2f, 3, 2, 1);

    Tensor classes = Classification.of(scores, true, 2, List.of("cat", "dog", "", "never"));

    assertThat(classes.datatype()).isEqualTo(Datatype.BYTES);
    assertThat(classes.name()).isEqualTo("scores");
    assertThat(classes.shape()).isEqualTo(Shape.of(2, 2));
    assertThat(texts(classes)).containsExactly("0.700000:1:dog", "0.200000:2", "3.000000:0:cat", "2.000000:1:dog");
  }

  @Test
  void withoutABatchEveryElementIsAClass() throws InferenceFailure {
    Tensor scores = Tensors.floats("scores", Shape.of(2, 2), 1, 4, 2, 3);

    Tensor classes = Classification.of(scores, false, 3, List.of());

    assertThat(classes.shape()).isEqualTo(Shape.of(3));
    assertThat(texts(classes)).containsExactly("4.000000:1", "3.000000:3", "2.000000:2");
  }

  @Test
  void thereAreNoMoreClassesThanTheOutputHas() throws InferenceFailure {
    Tensor classes = Classification.of(Tensors.floats("scores", Shape.of(1, 2), 1, 2), true, Long.MAX_VALUE, List.of());

    assertThat(classes.shape()).isEqualTo(Shape.of(1, 2));
    assertThat(texts(classes)).containsExactly("2.000000:1", "1.000000:0");
  }

  @Test
  void anEmptyBatchHasNoClasses() throws InferenceFailure {
    Tensor classes = Classification.of(Tensors.floats("scores", Shape.of(0, 2)), true, 1, List.of());

    assertThat(texts(classes)).isEmpty();
    assertThat(classes.shape().elements()).isZero();
  }

  @Test
  void ofEqualValuesTheFirstComesFirst() throws InferenceFailure {
    Tensor scores = Tensors.floats("scores", Shape.of(5), 1, 2, 2, -0.0f, 0);

    assertThat(texts(Classification.of(scores, false, 5, List.of())))
        .containsExactly("2.000000:1", "2.000000:2", "1.000000:0", "-0.000000:3", "0.000000:4");
  }

  @Test
  void whatIsNoNumberComesLast() throws InferenceFailure {
    Tensor scores =
        Tensors.floats(
            "scores", Shape.of(4), Float.NaN, Float.NEGATIVE_INFINITY, Float.POSITIVE_INFINITY, -Float.MAX_VALUE);

    assertThat(texts(Classification.of(scores, false, 4, List.of())))
        .containsExactly("inf:2", "-340282346638528859811704183484516925440.000000:3", "-inf:1", "nan:0");
  }

  /// As C's printf of the same binary values.
  @ParameterizedTest
  @CsvSource({
    "0.0000005, 0.000000", "0.0000015, 0.000002", "0.5, 0.500000", "1e-7, 0.000000", "-1e-9, -0.000000",
    "123456789.123456789, 123456789.123457", "0.1234565, 0.123456", "2.5e-6, 0.000003", "1e22, 10000000000000000000000.000000"
  })
  void numbersHaveSixDecimalsOfTheirBinaryValue(double value, String text) throws InferenceFailure {
    ByteBuffer bytes = ByteBuffer.allocate(Double.BYTES).order(ByteOrder.LITTLE_ENDIAN).putDouble(0, value);
    Tensor scores = new Tensor("scores", Datatype.FP64, Shape.of(1), bytes);

    assertThat(texts(Classification.of(scores, false, 1, List.of()))).containsExactly(text + ":0");
  }

  @ParameterizedTest
  @CsvSource({
    "UINT8, 255", "UINT16, 65535", "UINT32, 4294967295", "UINT64, 18446744073709551615",
    "INT8, 0", "INT16, 0", "INT32, 0", "INT64, 0"
  })
  void wholeNumbersAreWrittenAsTheyAre(Datatype datatype, String highest) throws InferenceFailure {
    // Two elements: zero, and all bits set, which is the highest unsigned number and -1.
    ByteBuffer bytes = ByteBuffer.allocate(2 * datatype.byteSize()).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = datatype.byteSize(); i < bytes.capacity(); i++) {
      bytes.put(i, (byte) 0xff);
    }
    Tensor scores = new Tensor("scores", datatype, Shape.of(2), bytes);

    String lowest = highest.equals("0") ? "-1:1" : "0:0";
    String best = highest.equals("0") ? "0:0" : highest + ":1";
    assertThat(texts(Classification.of(scores, false, 2, List.of()))).containsExactly(best, lowest);
  }

  @Test
  void theBestOfManyAreThoseThatSortingFinds() throws InferenceFailure {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    for (int round = 0; round < 100; round++) {
      float[] values = new float[1 + random.nextInt(50)];
      for (int i = 0; i < values.length; i++) {
        values[i] = random.nextInt(10) - 5;
      }
      int count = 1 + random.nextInt(60);
      List<String> expected =
          IntStream.range(0, values.length)
              .boxed()
              .sorted((a, b) -> Float.compare(values[b], values[a])) // stable
              .limit(count)
              .map(i -> "%.6f:%d".formatted(values[i], i))
              .toList();

      Tensor scores = Tensors.floats("scores", Shape.of(values.length), values);
      assertThat(texts(Classification.of(scores, false, count, List.of()))).as("seed %d", seed).isEqualTo(expected);
    }
  }

  @Test
  void moreClassesThanCanBeRankedAreRefused() {
    int count = Classification.CLASSES_MAX + 1;
    Tensor scores =
        new Tensor("scores", Datatype.UINT8, Shape.of(count), ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN));

    assertThatThrownBy(() -> Classification.of(scores, false, 1, List.of()))
        .isInstanceOf(InferenceFailure.class)
        .hasMessageStartingWith("classification output tensor too large")
        .hasMessageContaining("1000001 classes");
  }

  private static List<String> texts(Tensor classes) {
    return Tensors.strings(classes);
  }
}
