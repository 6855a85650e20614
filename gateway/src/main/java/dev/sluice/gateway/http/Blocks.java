package dev.sluice.gateway.http;

import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/// Bytes in the order they are written, in blocks that grow with their number and are never copied together.
final class Blocks extends OutputStream {

  private static final int FIRST_BYTES = 512;
  private static final int BLOCK_BYTES_MAX = 1 << 20;

  /// More was written than may be.
  static final class FullException extends RuntimeException {
    private static final long serialVersionUID = 1;

    FullException(long bytesMax) {
      super("more than " + bytesMax + " bytes", null, false, false);
    }
  }

  private final long bytesMax;
  private final List<ByteBuffer> full = new ArrayList<>();
  private byte[] block = new byte[FIRST_BYTES];
  private int used;
  private long size;

  Blocks(long bytesMax) {
    this.bytesMax = bytesMax;
  }

  long size() {
    return size;
  }

  /// What was written; the end of writing.
  List<ByteBuffer> buffers() {
    List<ByteBuffer> buffers = new ArrayList<>(full);
    if (used > 0) {
      buffers.add(ByteBuffer.wrap(block, 0, used));
    }
    return buffers;
  }

  /// The same in one buffer, for what is small.
  ByteBuffer joined() {
    List<ByteBuffer> buffers = buffers();
    if (buffers.size() == 1) {
      return buffers.getFirst();
    }
    ByteBuffer joined = ByteBuffer.allocate(Math.toIntExact(size));
    buffers.forEach(joined::put);
    return joined.flip();
  }

  @Override
  public void write(int b) {
    claim(1);
    if (used == block.length) {
      next();
    }
    block[used++] = (byte) b;
  }

  @Override
  public void write(byte[] bytes, int offset, int length) {
    claim(length);
    int position = offset;
    int left = length;
    while (left > 0) {
      if (used == block.length) {
        next();
      }
      int count = Math.min(left, block.length - used);
      System.arraycopy(bytes, position, block, used, count);
      used += count;
      position += count;
      left -= count;
    }
  }

  private void claim(int count) {
    size += count;
    if (size > bytesMax) {
      throw new FullException(bytesMax);
    }
  }

  private void next() {
    full.add(ByteBuffer.wrap(block));
    block = new byte[Math.min(2 * block.length, BLOCK_BYTES_MAX)];
    used = 0;
  }
}
