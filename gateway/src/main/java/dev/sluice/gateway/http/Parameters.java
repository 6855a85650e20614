package dev.sluice.gateway.http;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.InferParameter;
import java.math.BigInteger;
import java.util.Map;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;

/// Parameters between JSON and the protocol's messages.
final class Parameters {

  private static final BigInteger UINT64_END = BigInteger.TWO.pow(64);

  private Parameters() {}

  /// The value that the parser stands on. An integer is an int64 where it fits and a uint64 where it does not.
  static InferParameter read(JsonParser parser) throws InferenceFailure {
    InferParameter.Builder parameter = InferParameter.newBuilder();
    JsonToken token = parser.currentToken();
    switch (token) {
      case VALUE_STRING -> parameter.setStringParam(parser.getString());
      case VALUE_TRUE -> parameter.setBoolParam(true);
      case VALUE_FALSE -> parameter.setBoolParam(false);
      case VALUE_NUMBER_FLOAT -> parameter.setDoubleParam(parser.getDoubleValue());
      case VALUE_NUMBER_INT -> {
        if (parser.getNumberType() != JsonParser.NumberType.BIG_INTEGER) {
          parameter.setInt64Param(parser.getLongValue());
        } else {
          BigInteger value = parser.getBigIntegerValue();
          if (value.signum() < 0 || value.compareTo(UINT64_END) >= 0) {
            throw Json.wrong(parser, "", "an integer of 64 bits");
          }
          parameter.setUint64Param(value.longValue());
        }
      }
      default -> throw Json.wrong(parser, "", "a string, a number or a boolean");
    }
    return parameter.build();
  }

  static void write(Map<String, InferParameter> parameters, JsonGenerator json) {
    for (Map.Entry<String, InferParameter> entry : parameters.entrySet()) {
      json.writeName(entry.getKey());
      InferParameter value = entry.getValue();
      switch (value.getParameterChoiceCase()) {
        case STRING_PARAM -> json.writeString(value.getStringParam());
        case INT64_PARAM -> json.writeNumber(value.getInt64Param());
        case UINT64_PARAM -> json.writeNumber(new BigInteger(Long.toUnsignedString(value.getUint64Param())));
        case BOOL_PARAM -> json.writeBoolean(value.getBoolParam());
        case DOUBLE_PARAM -> json.writeNumber(value.getDoubleParam());
        case PARAMETERCHOICE_NOT_SET -> json.writeNull();
      }
    }
  }
}
