package dev.sluice.gateway.http;

import java.nio.ByteBuffer;
import java.util.Arrays;

/// One array that grows as bytes come, so that what was announced costs nothing until it is there.
final class Growing {

  private static final int FIRST_BYTES_MAX = 1 << 16;

  private final int bytesMax;
  private final long announced;
  private byte[] array;
  private int length;

  /// @param announced how many bytes are said to come, -1 when that was not said
  Growing(int bytesMax, long announced) {
    this.bytesMax = bytesMax;
    this.announced = announced;
    this.array = new byte[(int) (announced < 0 ? 1 << 13 : Math.min(announced, FIRST_BYTES_MAX))];
  }

  /// Appends what remains of the buffer.
  ///
  /// @throws Blocks.FullException if that is more than there may be
  void append(ByteBuffer bytes) {
    long needed = (long) length + bytes.remaining();
    if (needed > bytesMax) {
      throw new Blocks.FullException(bytesMax);
    }
    if (needed > array.length) {
      long grown = Math.max(needed, 4L * array.length);
      array = Arrays.copyOf(array, (int) Math.min(announced >= needed ? Math.min(grown, announced) : grown, bytesMax));
    }
    int count = bytes.remaining();
    bytes.get(array, length, count);
    length += count;
  }

  int length() {
    return length;
  }

  /// What has come; the end of growing.
  RequestBody.Bytes bytes() {
    return new RequestBody.Bytes(array, length);
  }
}
