package dev.sluice.gateway.routing;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.DriftRule;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/// The numbers of requests and answers that a rollout's drift rules watch: of each tensor named, one column of the first row.
final class Features {

  private record Watched(int rule, DriftRule drift) {}

  private final List<Watched> inputs = new ArrayList<>();
  private final List<Watched> outputs = new ArrayList<>();

  Features(List<StopRule> rules) {
    for (int rule = 0; rule < rules.size(); rule++) {
      if (rules.get(rule) instanceof DriftRule drift) {
        (drift.feature().input() ? inputs : outputs).add(new Watched(rule, drift));
      }
    }
  }

  boolean isEmpty() {
    return inputs.isEmpty() && outputs.isEmpty();
  }

  /// @param to is told of each number that the request and its answer have
  void measure(
      Assignment assignment, Variant variant, List<Tensor> request, List<Tensor> answer, Consumer<Observation> to) {
    measure(inputs, request, assignment, variant, to);
    measure(outputs, answer, assignment, variant, to);
  }

  private static void measure(
      List<Watched> watched, List<Tensor> tensors, Assignment assignment, Variant variant, Consumer<Observation> to) {
    for (Watched one : watched) {
      for (Tensor tensor : tensors) {
        if (tensor.name().equals(one.drift.feature().tensor())) {
          double value = element(tensor, one.drift.feature().column());
          double measured =
              switch (one.drift) {
                case StopRule.MeanDrift mean -> mean.measure(value);
                case StopRule.BinDrift bins -> bins.measure(value);
              };
          // A number that is missing has a bin of its own; it has no mean.
          if (!Double.isNaN(measured)) {
            to.accept(new Observation.Measured(assignment, variant, one.rule, measured));
          }
        }
      }
    }
  }

  /// One element of the tensor of this name; not a number where there is none.
  static double element(List<Tensor> tensors, String name, int index) {
    for (int i = 0; i < tensors.size(); i++) {
      if (tensors.get(i).name().equals(name)) {
        return element(tensors.get(i), index);
      }
    }
    return Double.NaN;
  }

  /// One element; not a number where the tensor has none there.
  private static double element(Tensor tensor, int index) {
    ByteBuffer bytes = tensor.bytes();
    int size = tensor.datatype().byteSize();
    if (size == 0 || (index + 1L) * size > bytes.limit()) {
      return Double.NaN;
    }
    int at = index * size;
    return switch (tensor.datatype()) {
      case BOOL, INT8 -> bytes.get(at);
      case UINT8 -> Byte.toUnsignedInt(bytes.get(at));
      case INT16 -> bytes.getShort(at);
      case UINT16 -> Short.toUnsignedInt(bytes.getShort(at));
      case INT32 -> bytes.getInt(at);
      case UINT32 -> Integer.toUnsignedLong(bytes.getInt(at));
      case INT64, UINT64 -> (double) bytes.getLong(at);
      case FP16 -> Float.float16ToFloat(bytes.getShort(at));
      case BF16 -> Float.intBitsToFloat(bytes.getShort(at) << 16);
      case FP32 -> bytes.getFloat(at);
      case FP64 -> bytes.getDouble(at);
      case BYTES -> Double.NaN;
    };
  }
}
