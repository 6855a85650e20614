package dev.sluice.gateway.testing;

import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.Tensors;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/// Tensors drawn by a seed: every second element is one that code likes to get wrong, the others are random bits.
public final class TensorDraw {

  private static final List<String> TEXTS = List.of(
      "", " ", "plain", "\0", "a\0b", "\0\0", "grüße", "é", "日本語", "שלום", "\u2028\u2029", "\uFEFF", "\uFFFF",
      "quote\" back\\slash", "line\nbreak\ttab\r", "\u0001\u001f\u007f", "<&'>", "4,", "long ".repeat(2_000));
  private static final List<String> TEXTS_BEYOND_THE_BASIC_PLANE =
      List.of("😀 and 𝕏", "\uD800\uDC00", "\uDBFF\uDFFF", "👩‍👩‍👧‍👦".repeat(50));

  private final Random random;
  private final boolean everyFloat;
  private final boolean everyText;

  /// @param everyFloat whether infinities and what is no number are among the floats
  /// @param everyText whether U+0000 and characters beyond U+FFFF are among the strings
  public TensorDraw(Random random, boolean everyFloat, boolean everyText) {
    this.random = random;
    this.everyFloat = everyFloat;
    this.everyText = everyText;
  }

  public Tensor tensor(String name, Datatype datatype, Shape shape) {
    int elements = Math.toIntExact(shape.elements());
    if (datatype == Datatype.BYTES) {
      List<byte[]> texts = new ArrayList<>();
      for (int i = 0; i < elements; i++) {
        texts.add(text().getBytes(StandardCharsets.UTF_8));
      }
      return Tensors.byteStrings(name, shape, texts);
    }
    ByteBuffer bytes = ByteBuffer.allocate(elements * datatype.byteSize()).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < elements; i++) {
      long bits = bits(datatype);
      switch (datatype.byteSize()) {
        case 1 -> bytes.put((byte) bits);
        case 2 -> bytes.putShort((short) bits);
        case 4 -> bytes.putInt((int) bits);
        default -> bytes.putLong(bits);
      }
    }
    return new Tensor(name, datatype, shape, bytes.flip());
  }

  private String text() {
    List<String> texts = random.nextInt(4) == 0 ? TEXTS_BEYOND_THE_BASIC_PLANE : TEXTS;
    String text = texts.get(random.nextInt(texts.size()));
    boolean allowed = everyText || text.chars().noneMatch(c -> c == 0 || Character.isSurrogate((char) c));
    return allowed ? text : "";
  }

  private long bits(Datatype datatype) {
    return switch (datatype) {
      case BOOL -> random.nextInt(2);
      case INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64 -> integer(datatype.byteSize() * 8);
      case FP16 -> floating(5, 10);
      case BF16 -> floating(8, 7);
      case FP32 -> floating(8, 23);
      case FP64 -> floating(11, 52);
      case BYTES -> throw new IllegalArgumentException("strings have no fixed bits");
    };
  }

  /// The bits of both ends of the signed and of the unsigned numbers, and of those beside zero.
  private long integer(int size) {
    long half = 1L << (size - 1);
    return switch (random.nextInt(10)) {
      case 0 -> 0;
      case 1 -> 1;
      case 2 -> -1;
      case 3 -> half;
      case 4 -> half - 1;
      default -> random.nextLong();
    };
  }

  /// Any float by the sizes of its parts: both zeros, the ends of the subnormals and of the numbers, infinities, quiet
  /// and signalling values that are no number.
  private long floating(int exponentBits, int fractionBits) {
    long sign = random.nextLong(2) << (exponentBits + fractionBits);
    long exponentMax = (1L << exponentBits) - 1;
    long fractionMax = (1L << fractionBits) - 1;
    long quiet = 1L << (fractionBits - 1);
    return sign | switch (random.nextInt(everyFloat ? 16 : 10)) {
      case 0 -> 0L;
      case 1 -> 1L;
      case 2 -> fractionMax;
      case 3 -> 1L << fractionBits;
      case 4 -> (exponentMax - 1) << fractionBits | fractionMax;
      case 5, 6, 7, 8, 9 -> random.nextLong(exponentMax) << fractionBits | random.nextLong(fractionMax + 1);
      case 10 -> exponentMax << fractionBits;
      case 11 -> exponentMax << fractionBits | quiet;
      case 12 -> exponentMax << fractionBits | quiet | random.nextLong(quiet);
      case 13 -> exponentMax << fractionBits | 1L;
      case 14 -> exponentMax << fractionBits | 1L + random.nextLong(fractionMax);
      default -> exponentMax << fractionBits | fractionMax;
    };
  }
}
