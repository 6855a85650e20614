package dev.sluice.router.comparison;

import static java.nio.ByteOrder.LITTLE_ENDIAN;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;

/// The elements of a numeric output in row-major order: a view over memory that others own, to be pointed at one output after
/// the other.
///
/// Elements are read a window at a time and widened to doubles. One element at a time, through a buffer whose class the
/// compiler cannot know, takes several times as long as all of the comparison's arithmetic.
public final class Numbers {

  /// How an element is written, little-endian.
  public enum Element {
    BOOL(1),
    INT8(1),
    UINT8(1),
    INT16(2),
    UINT16(2),
    INT32(4),
    UINT32(4),
    INT64(8),
    UINT64(8),
    FP16(2),
    BF16(2),
    FP32(4),
    FP64(8);

    private final int bytes;

    Element(int bytes) {
      this.bytes = bytes;
    }

    /// Whether a double may stand for several of its values.
    boolean isWiderThanDouble() {
      return this == INT64 || this == UINT64;
    }
  }

  static final int WINDOW = 1024;

  /// The bits of the infinite float; those that are no numbers have more.
  private static final int INFINITE_BITS = 0x7f800000;

  private static final VarHandle SHORTS = MethodHandles.byteArrayViewVarHandle(short[].class, LITTLE_ENDIAN);
  private static final VarHandle INTS = MethodHandles.byteArrayViewVarHandle(int[].class, LITTLE_ENDIAN);
  private static final VarHandle LONGS = MethodHandles.byteArrayViewVarHandle(long[].class, LITTLE_ENDIAN);
  private static final VarHandle DOUBLES = MethodHandles.byteArrayViewVarHandle(double[].class, LITTLE_ENDIAN);
  private static final ByteBuffer NOTHING = ByteBuffer.allocate(0);

  private final byte[] raw = new byte[WINDOW * Double.BYTES];
  private final ByteBuffer rawBuffer = ByteBuffer.wrap(raw).order(LITTLE_ENDIAN);
  private final IntBuffer rawInts = rawBuffer.asIntBuffer();
  private final FloatBuffer rawFloats = rawBuffer.asFloatBuffer();
  private final int[] bits = new int[WINDOW];
  private final float[] floats = new float[WINDOW];
  private boolean finite;
  private ByteBuffer bytes = NOTHING;
  private Element element = Element.FP64;
  private int count;

  Numbers() {}

  /// Points this view at another output.
  ///
  /// @param bytes from 0 to the limit; positions are not moved, so two threads may look at the same buffer
  public void view(Element element, ByteBuffer bytes) {
    this.element = element;
    this.bytes = bytes;
    this.count = bytes.limit() / element.bytes;
  }

  /// Lets go of the memory.
  void clear() {
    view(element, NOTHING);
  }

  Element element() {
    return element;
  }

  int count() {
    return count;
  }

  /// Widens elements to doubles: exactly, but for integers beyond 2^53.
  void read(int from, int length, double[] into) {
    finite = true;
    for (int done = 0; done < length; done += WINDOW) {
      int part = Math.min(WINDOW, length - done);
      bytes.get((from + done) * element.bytes, raw, 0, part * element.bytes);
      widen(part, into, done);
    }
  }

  /// Whether all elements of the last reading are certainly finite.
  boolean isFinite() {
    return finite;
  }

  private void widen(int length, double[] into, int at) {
    byte[] raw = this.raw;
    switch (element) {
      case FP32 -> {
        // The datatype that most outputs have: in loops of which a processor does several steps at once.
        rawFloats.get(0, floats, 0, length);
        for (int i = 0; i < length; i++) {
          into[at + i] = floats[i];
        }
        rawInts.get(0, bits, 0, length);
        int largest = 0;
        for (int i = 0; i < length; i++) {
          largest = Math.max(largest, bits[i] & Integer.MAX_VALUE);
        }
        finite &= largest < INFINITE_BITS;
      }
      case FP64 -> {
        for (int i = 0; i < length; i++) {
          into[at + i] = (double) DOUBLES.get(raw, i * Double.BYTES);
        }
        finite &= isFinite(into, at, length);
      }
      case FP16 -> {
        for (int i = 0; i < length; i++) {
          into[at + i] = Float.float16ToFloat((short) SHORTS.get(raw, i * Short.BYTES));
        }
        finite &= isFinite(into, at, length);
      }
      case BF16 -> {
        for (int i = 0; i < length; i++) {
          into[at + i] = Float.intBitsToFloat((short) SHORTS.get(raw, i * Short.BYTES) << 16);
        }
        finite &= isFinite(into, at, length);
      }
      case BOOL, INT8 -> {
        for (int i = 0; i < length; i++) {
          into[at + i] = raw[i];
        }
      }
      case UINT8 -> {
        for (int i = 0; i < length; i++) {
          into[at + i] = Byte.toUnsignedInt(raw[i]);
        }
      }
      case INT16 -> {
        for (int i = 0; i < length; i++) {
          into[at + i] = (short) SHORTS.get(raw, i * Short.BYTES);
        }
      }
      case UINT16 -> {
        for (int i = 0; i < length; i++) {
          into[at + i] = Short.toUnsignedInt((short) SHORTS.get(raw, i * Short.BYTES));
        }
      }
      case INT32 -> {
        for (int i = 0; i < length; i++) {
          into[at + i] = (int) INTS.get(raw, i * Integer.BYTES);
        }
      }
      case UINT32 -> {
        for (int i = 0; i < length; i++) {
          into[at + i] = Integer.toUnsignedLong((int) INTS.get(raw, i * Integer.BYTES));
        }
      }
      case INT64 -> {
        for (int i = 0; i < length; i++) {
          into[at + i] = (long) LONGS.get(raw, i * Long.BYTES);
        }
      }
      case UINT64 -> {
        for (int i = 0; i < length; i++) {
          into[at + i] = unsigned((long) LONGS.get(raw, i * Long.BYTES));
        }
      }
    }
  }

  private static boolean isFinite(double[] values, int from, int length) {
    for (int i = from; i < from + length; i++) {
      if (!Double.isFinite(values[i])) {
        return false;
      }
    }
    return true;
  }

  private static double unsigned(long value) {
    // Halved so that it has a sign, with the lost bit kept as the rounding needs it.
    return value >= 0 ? (double) value : ((value >>> 1) | (value & 1)) * 2.0;
  }

  /// How many 64-bit elements are not the same to the last bit.
  int differing64(Numbers other) {
    int differing = 0;
    for (int from = 0; from < count; from += WINDOW) {
      int part = Math.min(WINDOW, count - from);
      bytes.get(from * Long.BYTES, raw, 0, part * Long.BYTES);
      other.bytes.get(from * Long.BYTES, other.raw, 0, part * Long.BYTES);
      for (int i = 0; i < part; i++) {
        differing += (long) LONGS.get(raw, i * Long.BYTES) == (long) LONGS.get(other.raw, i * Long.BYTES) ? 0 : 1;
      }
    }
    return differing;
  }
}
