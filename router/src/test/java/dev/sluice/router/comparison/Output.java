package dev.sluice.router.comparison;

import dev.sluice.router.comparison.Numbers.Element;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// An output as the wire brings it, and the comparison of two of them on a bench of their own.
record Output(Element element, ByteBuffer bytes) {

  static Output row(double... values) {
    ByteBuffer bytes = little(values.length * Double.BYTES);
    bytes.asDoubleBuffer().put(values);
    return new Output(Element.FP64, bytes);
  }

  static Output floats(double... values) {
    ByteBuffer bytes = little(values.length * Float.BYTES);
    for (int i = 0; i < values.length; i++) {
      bytes.putFloat(i * Float.BYTES, (float) values[i]);
    }
    return new Output(Element.FP32, bytes);
  }

  static Output shorts(Element element, int... bits) {
    ByteBuffer bytes = little(bits.length * Short.BYTES);
    for (int i = 0; i < bits.length; i++) {
      bytes.putShort(i * Short.BYTES, (short) bits[i]);
    }
    return new Output(element, bytes);
  }

  static Output integers(long... values) {
    ByteBuffer bytes = little(values.length * Long.BYTES);
    bytes.asLongBuffer().put(values);
    return new Output(Element.INT64, bytes);
  }

  private static ByteBuffer little(int length) {
    return ByteBuffer.allocateDirect(length).order(ByteOrder.LITTLE_ENDIAN);
  }

  static Disagreement compare(Comparison how, Output baseline, Output candidate, int rowLength) {
    return compare(new Workbench(), how, baseline, candidate, rowLength);
  }

  static Disagreement compare(Workbench bench, Comparison how, Output baseline, Output candidate, int rowLength) {
    bench.baseline().view(baseline.element(), baseline.bytes());
    bench.candidate().view(candidate.element(), candidate.bytes());
    how.compare(bench, rowLength);
    return bench.take();
  }
}
