package dev.sluice.runtime.onnx;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.TensorInfo.OnnxTensorType;
import dev.sluice.runtime.tensor.Datatype;
import org.jspecify.annotations.Nullable;

/// What the protocol calls a datatype, in the words of the ONNX file and of ONNX Runtime's Java binding.
final class ElementTypes {
  private ElementTypes() {}

  /// The protocol's datatype, or null for what it cannot carry (8-bit floats, 4-bit integers, complex numbers).
  static @Nullable Datatype of(OnnxTensorType type) {
    return switch (type) {
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL -> Datatype.BOOL;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 -> Datatype.UINT8;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16 -> Datatype.UINT16;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32 -> Datatype.UINT32;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64 -> Datatype.UINT64;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 -> Datatype.INT8;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16 -> Datatype.INT16;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 -> Datatype.INT32;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 -> Datatype.INT64;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 -> Datatype.FP16;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16 -> Datatype.BF16;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT -> Datatype.FP32;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE -> Datatype.FP64;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING -> Datatype.BYTES;
      default -> null;
    };
  }

  /// The same for the number that an ONNX file uses.
  static @Nullable Datatype of(int onnxNumber) {
    for (Datatype datatype : Datatype.values()) {
      if (onnxNumber(datatype) == onnxNumber) {
        return datatype;
      }
    }
    return null;
  }

  /// What ONNX calls an element type that the protocol cannot carry.
  static String onnxName(int onnxNumber) {
    return switch (onnxNumber) {
      case 14 -> "COMPLEX64";
      case 15 -> "COMPLEX128";
      case 17 -> "FLOAT8E4M3FN";
      case 18 -> "FLOAT8E4M3FNUZ";
      case 19 -> "FLOAT8E5M2";
      case 20 -> "FLOAT8E5M2FNUZ";
      case 21 -> "UINT4";
      case 22 -> "INT4";
      case 23 -> "FLOAT4E2M1";
      case 24 -> "FLOAT8E8M0";
      case 25 -> "UINT2";
      case 26 -> "INT2";
      default -> "of ONNX's element type " + onnxNumber;
    };
  }

  /// The number of the datatype in an ONNX file, `TensorProto.DataType`.
  static int onnxNumber(Datatype datatype) {
    return switch (datatype) {
      case FP32 -> 1;
      case UINT8 -> 2;
      case INT8 -> 3;
      case UINT16 -> 4;
      case INT16 -> 5;
      case INT32 -> 6;
      case INT64 -> 7;
      case BYTES -> 8;
      case BOOL -> 9;
      case FP16 -> 10;
      case FP64 -> 11;
      case UINT32 -> 12;
      case UINT64 -> 13;
      case BF16 -> 16;
    };
  }

  /// The binding's type for the bytes of a datatype; it knows the wide unsigned integers by their signed twins only.
  static OnnxJavaType javaType(Datatype datatype) {
    return switch (datatype) {
      case BOOL -> OnnxJavaType.BOOL;
      case UINT8 -> OnnxJavaType.UINT8;
      case INT8 -> OnnxJavaType.INT8;
      case UINT16, INT16 -> OnnxJavaType.INT16;
      case UINT32, INT32 -> OnnxJavaType.INT32;
      case UINT64, INT64 -> OnnxJavaType.INT64;
      case FP16 -> OnnxJavaType.FLOAT16;
      case BF16 -> OnnxJavaType.BFLOAT16;
      case FP32 -> OnnxJavaType.FLOAT;
      case FP64 -> OnnxJavaType.DOUBLE;
      case BYTES -> OnnxJavaType.STRING;
    };
  }
}
