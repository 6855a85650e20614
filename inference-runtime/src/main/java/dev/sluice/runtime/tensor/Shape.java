package dev.sluice.runtime.tensor;

import java.util.Arrays;

/// The dimensions of a tensor, outermost first; -1 stands for a dimension that each request chooses.
///
/// A model may leave even the number of dimensions open. Such a shape has none itself and accepts every other one.
public final class Shape {
  private static final long FREE = -1;
  private static final Shape SCALAR = new Shape(new long[0], false);
  private static final Shape ANY_RANK = new Shape(new long[0], true);

  private final long[] dims;
  private final boolean anyRank;

  private Shape(long[] dims, boolean anyRank) {
    this.dims = dims;
    this.anyRank = anyRank;
  }

  /// A shape of these dimensions; none at all makes a scalar.
  public static Shape of(long... dims) {
    for (long dim : dims) {
      if (dim < FREE) {
        throw new IllegalArgumentException(
            "shape " + Arrays.toString(dims) + ": dimension " + dim + " is neither -1 (free) nor at least 0");
      }
    }
    return dims.length == 0 ? SCALAR : new Shape(dims.clone(), false);
  }

  /// The shape of a tensor about which nothing is known.
  public static Shape ofAnyRank() {
    return ANY_RANK;
  }

  public boolean isAnyRank() {
    return anyRank;
  }

  /// The number of dimensions; 0 too when it is open.
  public int rank() {
    return dims.length;
  }

  public long dim(int index) {
    return dims[index];
  }

  /// The number of elements of a static shape; throws [ArithmeticException] when it does not fit a long.
  public long elements() {
    if (anyRank) {
      throw new IllegalStateException("a shape of any rank has no number of elements");
    }
    long elements = 1;
    boolean empty = false;
    for (long dim : dims) {
      if (dim == FREE) {
        throw new IllegalStateException("shape " + this + " has a free dimension, so it has no number of elements");
      }
      // A zero ends nothing early: [huge, huge, 0] must overflow in whatever order its dimensions come.
      empty |= dim == 0;
      elements = Math.multiplyExact(elements, Math.max(dim, 1));
    }
    return empty ? 0 : elements;
  }

  /// Whether no dimension is free.
  public boolean isStatic() {
    for (long dim : dims) {
      if (dim == FREE) {
        return false;
      }
    }
    return !anyRank;
  }

  public long[] toArray() {
    return dims.clone();
  }

  /// Whether a tensor of the given shape fits: the same rank, and equal wherever this shape is not free.
  public boolean accepts(Shape concrete) {
    if (anyRank) {
      return true;
    }
    if (concrete.dims.length != dims.length || concrete.anyRank) {
      return false;
    }
    for (int i = 0; i < dims.length; i++) {
      if (dims[i] != FREE && dims[i] != concrete.dims[i]) {
        return false;
      }
    }
    return true;
  }

  @Override
  public boolean equals(Object other) {
    return this == other
        || (other instanceof Shape shape && anyRank == shape.anyRank && Arrays.equals(dims, shape.dims));
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(dims);
  }

  @Override
  public String toString() {
    return anyRank ? "of any rank" : Arrays.toString(dims);
  }
}
