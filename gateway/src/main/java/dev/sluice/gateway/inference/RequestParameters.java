package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.InferParameter.ParameterChoiceCase;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// What a request's parameters ask for, after they were checked.
///
/// Names that the protocol reserves have their types; whatever else a caller sends is its own affair and is let through, as
/// models of other servers read it. Those of sequences are checked and then mean nothing, as for any model without sequences.
///
/// @param priority 1 the most urgent; 0: none was named
/// @param timeoutNanos how long the request may wait; 0: nothing was said
/// @param typedOutput whether the answer is to be typed, null: nothing was said
record RequestParameters(int priority, long timeoutNanos, @Nullable Boolean typedOutput) {

  /// Asks for an answer in typed contents, or against one.
  static final String TYPED_OUTPUT = "sluice_typed_output";

  private static final String EMPTY_FINAL_RESPONSE = "triton_enable_empty_final_response";

  private static final RequestParameters NONE = new RequestParameters(0, 0, null);

  static RequestParameters of(Map<String, InferParameter> parameters) throws InferenceFailure {
    if (parameters.isEmpty()) {
      return NONE;
    }
    int priority = 0;
    long timeoutNanos = 0;
    Boolean typedOutput = null;
    for (Map.Entry<String, InferParameter> parameter : parameters.entrySet()) {
      String name = parameter.getKey();
      InferParameter value = parameter.getValue();
      switch (name) {
        case "priority" -> priority = priority(value);
        case "timeout" -> timeoutNanos = timeoutNanos(value);
        case "sequence_id" -> {
          if (value.getParameterChoiceCase() != ParameterChoiceCase.STRING_PARAM) {
            require(name, value, ParameterChoiceCase.INT64_PARAM, "int64_param or string_param");
          }
        }
        case "sequence_start", "sequence_end", EMPTY_FINAL_RESPONSE ->
            require(name, value, ParameterChoiceCase.BOOL_PARAM, "bool_param");
        case TYPED_OUTPUT -> {
          require(name, value, ParameterChoiceCase.BOOL_PARAM, "bool_param");
          typedOutput = value.getBoolParam();
        }
        default -> requireFree(name, value);
      }
    }
    return new RequestParameters(priority, timeoutNanos, typedOutput);
  }

  /// Levels beyond those that a model has mean its default, so a huge number may as well be a large one.
  private static int priority(InferParameter value) throws InferenceFailure {
    if (value.getParameterChoiceCase() == ParameterChoiceCase.UINT64_PARAM) {
      long level = value.getUint64Param();
      return level < 0 ? Integer.MAX_VALUE : (int) Math.min(level, Integer.MAX_VALUE);
    }
    require("priority", value, ParameterChoiceCase.INT64_PARAM, "int64_param or uint64_param");
    if (value.getInt64Param() < 0) {
      throw invalid("priority", "invalid value for 'priority', expected value >= 0, got " + value.getInt64Param());
    }
    return (int) Math.min(value.getInt64Param(), Integer.MAX_VALUE);
  }

  private static long timeoutNanos(InferParameter value) throws InferenceFailure {
    require("timeout", value, ParameterChoiceCase.INT64_PARAM, "int64_param");
    if (value.getInt64Param() < 0) {
      throw invalid(
          "timeout", "invalid value for 'timeout', expected microseconds >= 0, got " + value.getInt64Param());
    }
    return TimeUnit.MICROSECONDS.toNanos(value.getInt64Param());
  }

  private static void requireFree(String name, InferParameter value) throws InferenceFailure {
    if (name.startsWith("triton_")) {
      throw invalid(
          name,
          "parameter keys starting with 'triton_' are reserved for Triton usage. Only the following keys starting with 'triton_' are allowed: "
              + EMPTY_FINAL_RESPONSE
              + "; got '%s'".formatted(name));
    }
    switch (value.getParameterChoiceCase()) {
      case BOOL_PARAM, INT64_PARAM, STRING_PARAM, DOUBLE_PARAM -> {}
      case UINT64_PARAM, PARAMETERCHOICE_NOT_SET ->
          throw invalid(
              name,
              "invalid value type for '%s' parameter, expected int64_param, bool_param, or string_param."
                  .formatted(name));
    }
  }

  private static void require(String name, InferParameter value, ParameterChoiceCase expected, String words)
      throws InferenceFailure {
    if (value.getParameterChoiceCase() != expected) {
      throw invalid(name, "invalid value type for '%s' parameter, expected %s.".formatted(name, words));
    }
  }

  private static InferenceFailure invalid(String name, String text) {
    return InferenceFailure.invalid("parameters['%s']".formatted(name), text);
  }
}
