package dev.sluice.router.comparison;

import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;

/// The elements of a numeric output in row-major order: a view over memory that others own.
public interface Numbers {

  int count();

  double at(int index);

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
  }
}
