package dev.sluice.loadtest.traffic;

import com.google.protobuf.ByteString;
import java.nio.charset.StandardCharsets;

/// A tensor's raw contents being written: little-endian, row-major, no padding.
final class RawBytes {
  private final ByteString.Output out;

  RawBytes(int bytesExpected) {
    this.out = ByteString.newOutput(Math.max(bytesExpected, 16));
  }

  void put(long value, int bytes) {
    for (int i = 0; i < bytes; i++) {
      out.write((int) (value >>> (8 * i)));
    }
  }

  /// A BYTES element: its length, then its bytes.
  void put(String element) {
    byte[] bytes = element.getBytes(StandardCharsets.UTF_8);
    put(bytes.length, 4);
    out.write(bytes, 0, bytes.length);
  }

  int size() {
    return out.size();
  }

  ByteString toByteString() {
    return out.toByteString();
  }
}
