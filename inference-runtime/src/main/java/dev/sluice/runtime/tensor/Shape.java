package dev.sluice.runtime.tensor;

import java.util.Arrays;

/// The dimensions of a tensor, outermost first; -1 stands for a dimension that each request chooses.
public final class Shape {
  private static final long FREE = -1;
  private static final Shape SCALAR = new Shape(new long[0]);

  private final long[] dims;

  private Shape(long[] dims) {
    this.dims = dims;
  }

  /// A shape of these dimensions; none at all makes a scalar.
  public static Shape of(long... dims) {
    for (long dim : dims) {
      if (dim < FREE) {
        throw new IllegalArgumentException(
            "shape " + Arrays.toString(dims) + ": dimension " + dim + " is neither -1 (free) nor at least 0");
      }
    }
    return dims.length == 0 ? SCALAR : new Shape(dims.clone());
  }

  public int rank() {
    return dims.length;
  }

  public long dim(int index) {
    return dims[index];
  }

  /// The number of elements of a static shape; throws [ArithmeticException] when it does not fit a long.
  public long elements() {
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
    return true;
  }

  public long[] toArray() {
    return dims.clone();
  }

  /// Whether a tensor of the given shape fits: the same rank, and equal wherever this shape is not free.
  public boolean accepts(Shape concrete) {
    if (concrete.dims.length != dims.length) {
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
    return other instanceof Shape shape && Arrays.equals(dims, shape.dims);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(dims);
  }

  @Override
  public String toString() {
    return Arrays.toString(dims);
  }
}
