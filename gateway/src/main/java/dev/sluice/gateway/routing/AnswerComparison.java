package dev.sluice.gateway.routing;

import dev.sluice.router.comparison.Comparison;
import dev.sluice.router.comparison.Disagreement;
import dev.sluice.router.comparison.Numbers;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;

/// Lays two answers side by side under a note's comparisons, without copying a tensor.
final class AnswerComparison {

  private AnswerComparison() {}

  /// Whether any of the outputs wanted has a comparison.
  static boolean applies(Map<String, Comparison> comparisons, List<String> outputs) {
    for (int i = 0; i < outputs.size(); i++) {
      if (comparisons.containsKey(outputs.get(i))) {
        return true;
      }
    }
    return false;
  }

  /// Both answers hold the same outputs in the same order.
  static Disagreement compare(Map<String, Comparison> comparisons, List<Tensor> baseline, List<Tensor> candidate) {
    Disagreement all = Disagreement.NONE;
    for (int i = 0; i < baseline.size(); i++) {
      Comparison comparison = comparisons.get(baseline.get(i).name());
      if (comparison != null) {
        all = all.and(compare(comparison, baseline.get(i), candidate.get(i)));
      }
    }
    return all;
  }

  private static Disagreement compare(Comparison comparison, Tensor baseline, Tensor candidate) {
    if (baseline.datatype() != candidate.datatype() || !baseline.shape().equals(candidate.shape())) {
      return Disagreement.TOTAL;
    }
    if (baseline.datatype() == Datatype.BYTES) {
      return baseline.bytes().equals(candidate.bytes()) ? Disagreement.NONE : new Disagreement(1, true);
    }
    int rank = baseline.shape().rank();
    int rowLength = rank == 0 ? 1 : (int) baseline.shape().dim(rank - 1);
    return comparison.compare(numbers(baseline), numbers(candidate), rowLength);
  }

  private static Numbers numbers(Tensor tensor) {
    ByteBuffer bytes = tensor.bytes();
    return switch (tensor.datatype()) {
      case FP32 -> Numbers.of(bytes.asFloatBuffer());
      case FP64 -> Numbers.of(bytes.asDoubleBuffer());
      case INT64 -> Numbers.of(bytes.asLongBuffer());
      default -> new Elements(tensor.datatype(), bytes);
    };
  }

  /// The datatypes that Java has no buffer for.
  private record Elements(Datatype datatype, ByteBuffer bytes) implements Numbers {
    @Override
    public int count() {
      return bytes.limit() / datatype.byteSize();
    }

    @Override
    public double at(int index) {
      return switch (datatype) {
        case BOOL, INT8 -> bytes.get(index);
        case UINT8 -> Byte.toUnsignedInt(bytes.get(index));
        case INT16 -> bytes.getShort(index * 2);
        case UINT16 -> Short.toUnsignedInt(bytes.getShort(index * 2));
        case FP16 -> Float.float16ToFloat(bytes.getShort(index * 2));
        case BF16 -> Float.intBitsToFloat(bytes.getShort(index * 2) << 16);
        case INT32 -> bytes.getInt(index * 4);
        case UINT32 -> Integer.toUnsignedLong(bytes.getInt(index * 4));
        case UINT64 -> unsigned(bytes.getLong(index * 8));
        case INT64, FP32, FP64, BYTES -> throw new IllegalStateException(datatype + " is read another way");
      };
    }

    private static double unsigned(long value) {
      return value >= 0 ? (double) value : (value >>> 1) * 2.0;
    }
  }
}
