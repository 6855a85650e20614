package dev.sluice.runtime.tensor;

import org.jspecify.annotations.Nullable;

/// The element types of the Open Inference Protocol, named exactly as on the wire.
public enum Datatype {
  BOOL(1),
  UINT8(1),
  UINT16(2),
  UINT32(4),
  UINT64(8),
  INT8(1),
  INT16(2),
  INT32(4),
  INT64(8),
  FP16(2),
  BF16(2),
  FP32(4),
  FP64(8),
  BYTES(0);

  private final int byteSize;

  Datatype(int byteSize) {
    this.byteSize = byteSize;
  }

  /// The bytes of one element; 0 for `BYTES`, whose elements carry their own length.
  public int byteSize() {
    return byteSize;
  }

  /// The datatype with the wire's name, or null: an unknown name is a caller's everyday mistake, not an exception.
  public static @Nullable Datatype of(String wireName) {
    return switch (wireName) {
      case "BOOL" -> BOOL;
      case "UINT8" -> UINT8;
      case "UINT16" -> UINT16;
      case "UINT32" -> UINT32;
      case "UINT64" -> UINT64;
      case "INT8" -> INT8;
      case "INT16" -> INT16;
      case "INT32" -> INT32;
      case "INT64" -> INT64;
      case "FP16" -> FP16;
      case "BF16" -> BF16;
      case "FP32" -> FP32;
      case "FP64" -> FP64;
      case "BYTES" -> BYTES;
      default -> null;
    };
  }
}
