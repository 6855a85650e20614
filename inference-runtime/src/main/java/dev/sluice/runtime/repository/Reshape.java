package dev.sluice.runtime.repository;

import dev.sluice.runtime.tensor.Shape;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The same elements under two shapes, one that callers see and one that the model has.
///
/// Between two free dimensions both shapes have the same number of elements, so the first free dimension of the one is
/// the first of the other, and so on: `[2, 4, -1, 6]` and `[8, -1, 1, 6]`. A batch dimension is the first free one.
record Reshape(Shape from, Shape to) {

  /// What forbids the reshape, in Triton's words, or null.
  static @Nullable String fault(List<Long> dims, List<Long> reshape) {
    List<Long> mine;
    List<Long> others;
    try {
      mine = runs(dims);
      others = runs(reshape);
    } catch (ArithmeticException e) {
      return "has more elements than can be counted: dims %s, reshape %s".formatted(dims, reshape);
    }
    if (mine.size() != others.size()) {
      return "has different number of variable-size dimensions for dims %s and reshape %s".formatted(dims, reshape);
    }
    return mine.equals(others) ? null : "has different size for dims %s and reshape %s".formatted(dims, reshape);
  }

  /// The shape of the elements on the other side, or null when they do not have this side's shape.
  @Nullable Shape apply(Shape concrete) {
    if (!from.accepts(concrete)) {
      return null;
    }
    long[] dims = to.toArray();
    int free = 0;
    for (int i = 0; i < dims.length; i++) {
      if (dims[i] < 0) {
        while (from.dim(free) >= 0) {
          free++;
        }
        dims[i] = concrete.dim(free++);
      }
    }
    return Shape.of(dims);
  }

  /// The numbers of elements before, between and after the free dimensions.
  private static List<Long> runs(List<Long> dims) {
    List<Long> runs = new ArrayList<>();
    long elements = 1;
    for (long dim : dims) {
      if (dim < 0) {
        runs.add(elements);
        elements = 1;
      } else {
        elements = Math.multiplyExact(elements, dim);
      }
    }
    runs.add(elements);
    return runs;
  }
}
