package dev.sluice.gateway.routing;

import dev.sluice.router.comparison.Cause;
import dev.sluice.router.comparison.Comparison;
import dev.sluice.router.comparison.Disagreement;
import dev.sluice.router.comparison.Numbers;
import dev.sluice.router.comparison.Numbers.Element;
import dev.sluice.router.comparison.Workbench;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Tensor;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// Lays two answers side by side under a note's comparisons, without copying a tensor. For one thread.
final class AnswerComparison {

  private final Map<String, Comparison> comparisons;
  private final Workbench bench = new Workbench();

  /// @param comparisons by output name
  AnswerComparison(Map<String, Comparison> comparisons) {
    this.comparisons = comparisons;
  }

  /// Whether any of the outputs wanted has a comparison.
  boolean applies(List<String> outputs) {
    for (int i = 0; i < outputs.size(); i++) {
      if (comparisons.containsKey(outputs.get(i))) {
        return true;
      }
    }
    return false;
  }

  /// The disagreement of all outputs that have a comparison; outputs are found by name, mostly at the same place.
  Disagreement compare(List<Tensor> baseline, List<Tensor> candidate) {
    bench.clear();
    for (int i = 0; i < baseline.size(); i++) {
      Tensor output = baseline.get(i);
      Comparison comparison = comparisons.get(output.name());
      if (comparison != null) {
        Tensor other = find(output.name(), i, candidate);
        if (other == null) {
          bench.add(Cause.MISSING_OUTPUT);
        } else {
          compare(comparison, output, other);
        }
      }
    }
    for (int i = 0; i < candidate.size(); i++) {
      String name = candidate.get(i).name();
      if (comparisons.containsKey(name) && find(name, i, baseline) == null) {
        bench.add(Cause.MISSING_OUTPUT);
      }
    }
    return bench.take();
  }

  private static @Nullable Tensor find(String name, int at, List<Tensor> outputs) {
    if (at < outputs.size() && outputs.get(at).name().equals(name)) {
      return outputs.get(at);
    }
    for (int i = 0; i < outputs.size(); i++) {
      if (outputs.get(i).name().equals(name)) {
        return outputs.get(i);
      }
    }
    return null;
  }

  private void compare(Comparison comparison, Tensor baseline, Tensor candidate) {
    if (baseline.datatype() != candidate.datatype()) {
      bench.add(Cause.DATATYPE);
    } else if (!baseline.shape().equals(candidate.shape())) {
      bench.add(Cause.SHAPE);
    } else if (baseline.datatype() == Datatype.BYTES) {
      bench.addBytes(baseline.bytes(), candidate.bytes());
    } else {
      view(bench.baseline(), baseline);
      view(bench.candidate(), candidate);
      int rank = baseline.shape().rank();
      comparison.compare(bench, rank == 0 ? 1 : (int) baseline.shape().dim(rank - 1));
    }
  }

  private static void view(Numbers numbers, Tensor tensor) {
    numbers.view(element(tensor.datatype()), tensor.bytes());
  }

  private static Element element(Datatype datatype) {
    return switch (datatype) {
      case BOOL -> Element.BOOL;
      case INT8 -> Element.INT8;
      case UINT8 -> Element.UINT8;
      case INT16 -> Element.INT16;
      case UINT16 -> Element.UINT16;
      case INT32 -> Element.INT32;
      case UINT32 -> Element.UINT32;
      case INT64 -> Element.INT64;
      case UINT64 -> Element.UINT64;
      case FP16 -> Element.FP16;
      case BF16 -> Element.BF16;
      case FP32 -> Element.FP32;
      case FP64 -> Element.FP64;
      case BYTES -> throw new IllegalStateException("texts are no numbers");
    };
  }
}
