package dev.sluice.runtime.repository;

import dev.sluice.proto.inference.DataType;
import dev.sluice.runtime.tensor.Datatype;
import org.jspecify.annotations.Nullable;

/// The protocol's datatypes under the names that a configuration has for them.
final class DataTypes {
  private DataTypes() {}

  /// The datatype, or null for none.
  static @Nullable Datatype of(DataType type) {
    for (Datatype datatype : Datatype.values()) {
      if (configName(datatype) == type) {
        return datatype;
      }
    }
    return null;
  }

  static DataType configName(Datatype datatype) {
    return switch (datatype) {
      case BOOL -> DataType.TYPE_BOOL;
      case UINT8 -> DataType.TYPE_UINT8;
      case UINT16 -> DataType.TYPE_UINT16;
      case UINT32 -> DataType.TYPE_UINT32;
      case UINT64 -> DataType.TYPE_UINT64;
      case INT8 -> DataType.TYPE_INT8;
      case INT16 -> DataType.TYPE_INT16;
      case INT32 -> DataType.TYPE_INT32;
      case INT64 -> DataType.TYPE_INT64;
      case FP16 -> DataType.TYPE_FP16;
      case FP32 -> DataType.TYPE_FP32;
      case FP64 -> DataType.TYPE_FP64;
      case BYTES -> DataType.TYPE_STRING;
      case BF16 -> DataType.TYPE_BF16;
    };
  }
}
