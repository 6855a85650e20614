package dev.sluice.gateway.inference;

import dev.sluice.proto.inference.InferParameter;
import org.jspecify.annotations.Nullable;

/// A request parameter as a caller's attribute.
public final class ParameterText {
  private ParameterText() {}

  /// The parameter's value as text, whatever its type; null when it has none.
  public static @Nullable String of(InferParameter parameter) {
    return switch (parameter.getParameterChoiceCase()) {
      case STRING_PARAM -> parameter.getStringParam();
      case INT64_PARAM -> Long.toString(parameter.getInt64Param());
      case UINT64_PARAM -> Long.toUnsignedString(parameter.getUint64Param());
      case BOOL_PARAM -> Boolean.toString(parameter.getBoolParam());
      case DOUBLE_PARAM -> Double.toString(parameter.getDoubleParam());
      case PARAMETERCHOICE_NOT_SET -> null;
    };
  }
}
