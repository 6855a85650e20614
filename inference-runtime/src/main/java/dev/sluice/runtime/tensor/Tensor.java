package dev.sluice.runtime.tensor;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// One named tensor in the protocol's wire layout: little-endian, row-major, no padding; a `BYTES` element is its
/// length as uint32 followed by that many bytes.
///
/// The bytes go from position 0 to the limit and are never changed; a reader that moves positions duplicates first.
public record Tensor(String name, Datatype datatype, Shape shape, ByteBuffer bytes) {
  public Tensor {
    if (bytes.position() != 0 || bytes.order() != ByteOrder.LITTLE_ENDIAN) {
      bytes = bytes.slice().order(ByteOrder.LITTLE_ENDIAN);
    }
  }
}
