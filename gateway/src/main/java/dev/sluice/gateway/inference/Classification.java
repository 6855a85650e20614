package dev.sluice.gateway.inference;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import java.io.ByteArrayOutputStream;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;

/// An output as its k best classes: `value:index` or `value:index:label`, the highest value first.
final class Classification {

  /// Of one row: more classes than any classifier has, and few enough to rank within a call.
  static final int CLASSES_MAX = 1_000_000;

  private Classification() {}

  /// Whether values of this type can be ranked.
  static boolean canRank(Datatype datatype) {
    return switch (datatype) {
      case UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP32, FP64 -> true;
      case BOOL, FP16, BF16, BYTES -> false;
    };
  }

  /// @param batched whether dimension 0 is a batch, whose rows are ranked one by one
  /// @param count how many classes are wanted of each row, at least 1; all of them when there are fewer
  /// @param labels of the classes, as far as they have some
  static Tensor of(Tensor scores, boolean batched, long count, List<String> labels) throws InferenceFailure {
    boolean rows = batched && scores.shape().rank() > 0;
    long batch = rows ? scores.shape().dim(0) : 1;
    long classes = batch == 0 ? 0 : scores.shape().elements() / batch;
    if (classes > CLASSES_MAX) {
      throw InferenceFailure.invalid(
          "classification output tensor too large: output '%s' has %d classes; at most %d can be ranked"
              .formatted(scores.name(), classes, CLASSES_MAX));
    }
    int best = (int) Math.min(count, classes);
    ByteBuffer values = scores.bytes().duplicate().order(ByteOrder.LITTLE_ENDIAN);
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    for (int row = 0; row < batch; row++) {
      int from = (int) (row * classes);
      for (int index : best(values, scores.datatype(), from, (int) classes, best)) {
        String element = valueText(values, scores.datatype(), from + index) + ":" + index;
        String label = index < labels.size() ? labels.get(index) : "";
        write(label.isEmpty() ? element : element + ":" + label, text);
      }
    }
    Shape shape = rows ? Shape.of(batch, best) : Shape.of(best);
    return new Tensor(scores.name(), Datatype.BYTES, shape, ByteBuffer.wrap(text.toByteArray()));
  }

  private static void write(String element, ByteArrayOutputStream text) {
    byte[] bytes = element.getBytes(UTF_8);
    text.writeBytes(ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(bytes.length).array());
    text.writeBytes(bytes);
  }

  /// The places of the highest values, the highest first; of equal ones the first comes first.
  private static int[] best(ByteBuffer values, Datatype datatype, int from, int classes, int count) {
    Comparator<Long> byValue = Comparator.comparingLong(place -> rank(values, datatype, from + place.intValue()));
    PriorityQueue<Long> kept = new PriorityQueue<>(byValue.thenComparing(Comparator.reverseOrder()));
    for (long place = 0; place < classes; place++) {
      if (kept.size() < count) {
        kept.add(place);
      } else if (rank(values, datatype, from + (int) place) > rank(values, datatype, from + kept.element().intValue())) {
        kept.remove();
        kept.add(place);
      }
    }
    int[] best = new int[kept.size()];
    for (int i = best.length - 1; i >= 0; i--) {
      best[i] = kept.remove().intValue();
    }
    return best;
  }

  /// A number that is greater for the greater value; what is not a number is less than every number.
  private static long rank(ByteBuffer values, Datatype datatype, int i) {
    return switch (datatype) {
      case UINT8 -> Byte.toUnsignedLong(values.get(i));
      case UINT16 -> Short.toUnsignedLong(values.getShort(2 * i));
      case UINT32 -> Integer.toUnsignedLong(values.getInt(4 * i));
      case UINT64 -> values.getLong(8 * i) ^ Long.MIN_VALUE;
      case INT8 -> values.get(i);
      case INT16 -> values.getShort(2 * i);
      case INT32 -> values.getInt(4 * i);
      case INT64 -> values.getLong(8 * i);
      case FP32 -> rank(values.getFloat(4 * i));
      case FP64 -> rank(values.getDouble(8 * i));
      case BOOL, FP16, BF16, BYTES -> throw new IllegalArgumentException(datatype + " cannot be ranked");
    };
  }

  private static long rank(double value) {
    if (Double.isNaN(value)) {
      return Long.MIN_VALUE;
    }
    long bits = Double.doubleToRawLongBits(value == 0 ? 0.0 : value); // both zeros are one value
    return bits >= 0 ? bits : Long.MIN_VALUE - bits;
  }

  /// As C++ writes numbers: floating point with six decimals.
  private static String valueText(ByteBuffer values, Datatype datatype, int i) {
    return switch (datatype) {
      case UINT8, UINT16, UINT32, INT8, INT16, INT32, INT64 -> Long.toString(rank(values, datatype, i));
      case UINT64 -> Long.toUnsignedString(values.getLong(8 * i));
      case FP32 -> sixDecimals(values.getFloat(4 * i));
      case FP64 -> sixDecimals(values.getDouble(8 * i));
      case BOOL, FP16, BF16, BYTES -> throw new IllegalArgumentException(datatype + " cannot be ranked");
    };
  }

  /// From the binary value itself: `%.6f` rounds its shortest decimal form, which is another number.
  private static String sixDecimals(double value) {
    if (Double.isNaN(value)) {
      return "nan";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }
    String digits = new BigDecimal(Math.abs(value)).setScale(6, RoundingMode.HALF_EVEN).toPlainString();
    return Double.doubleToRawLongBits(value) < 0 ? "-" + digits : digits;
  }
}
