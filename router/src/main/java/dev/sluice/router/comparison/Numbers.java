package dev.sluice.router.comparison;

import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;

/// The elements of a numeric output in row-major order: a view over memory that others own.
public interface Numbers {

  int count();

  double at(int index);

  /// Whether both hold the same number there; not a number on both sides is the same.
  default boolean sameAt(int index, Numbers other) {
    double here = at(index);
    double there = other.at(index);
    return here == there || (Double.isNaN(here) && Double.isNaN(there));
  }

  static Numbers of(FloatBuffer values) {
    return new Floats(values);
  }

  static Numbers of(DoubleBuffer values) {
    return new Doubles(values);
  }

  static Numbers of(LongBuffer values) {
    return new Longs(values);
  }

  /// Absolute buffer positions: reading moves nothing, so two threads may read the same buffer.
  record Floats(FloatBuffer values) implements Numbers {
    @Override
    public int count() {
      return values.limit();
    }

    @Override
    public double at(int index) {
      return values.get(index);
    }
  }

  record Doubles(DoubleBuffer values) implements Numbers {
    @Override
    public int count() {
      return values.limit();
    }

    @Override
    public double at(int index) {
      return values.get(index);
    }
  }

  record Longs(LongBuffer values) implements Numbers {
    @Override
    public int count() {
      return values.limit();
    }

    @Override
    public double at(int index) {
      return values.get(index);
    }

    /// Beyond 2^53 neighbouring integers share one double.
    @Override
    public boolean sameAt(int index, Numbers other) {
      return other instanceof Longs longs
          ? values.get(index) == longs.values.get(index)
          : Numbers.super.sameAt(index, other);
    }
  }
}
