package dev.sluice.gateway.http;

import dev.sluice.gateway.routing.InferenceFailure;
import java.util.HashSet;
import java.util.Set;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;

/// Walks a document as it comes, and refuses what is not of the expected form. In each of these the parser stands on the value
/// in question, and afterwards on its last token.
final class JsonWalk {

  /// Inputs, outputs, dimensions, parameters: far more than any model has, so that no document grows in memory.
  private static final int ITEMS_MAX = 1024;

  interface Member {
    void read(String name) throws InferenceFailure;
  }

  interface Item {
    void read() throws InferenceFailure;
  }

  private JsonWalk() {}

  /// Reads an object, member by member but for those that are null, which are as good as missing.
  ///
  /// @return the names of the members read
  static Set<String> members(JsonParser parser, Member member) throws InferenceFailure {
    Set<String> seen = new HashSet<>();
    everyMember(
        parser,
        name -> {
          if (parser.currentToken() != JsonToken.VALUE_NULL) {
            seen.add(name);
            member.read(name);
          }
        });
    return seen;
  }

  /// Reads an object, member by member. A name that comes twice is refused: which of the two counts would be a guess.
  static void everyMember(JsonParser parser, Member member) throws InferenceFailure {
    if (parser.currentToken() != JsonToken.START_OBJECT) {
      throw Json.wrong(parser, "", "an object");
    }
    Set<String> names = new HashSet<>();
    for (String name = parser.nextName(); name != null; name = parser.nextName()) {
      parser.nextToken();
      if (!names.add(name)) {
        throw InferenceFailure.invalid("%s: is given twice".formatted(Json.path(parser, "")));
      }
      if (names.size() > ITEMS_MAX) {
        throw tooMany(parser);
      }
      member.read(name);
    }
  }

  /// Reads an array, item by item.
  static void items(JsonParser parser, Item item) throws InferenceFailure {
    if (parser.currentToken() != JsonToken.START_ARRAY) {
      throw Json.wrong(parser, "", "an array");
    }
    for (int count = 1; parser.nextToken() != JsonToken.END_ARRAY; count++) {
      if (count > ITEMS_MAX) {
        throw tooMany(parser);
      }
      item.read();
    }
  }

  private static InferenceFailure tooMany(JsonParser parser) {
    return InferenceFailure.invalid(
        "%s: is one more than the %d that are read".formatted(Json.path(parser, ""), ITEMS_MAX));
  }

  /// Behind an object: it had to have this member.
  static void require(Set<String> seen, String member, JsonParser parser) throws InferenceFailure {
    if (!seen.contains(member)) {
      throw InferenceFailure.invalid("%s: has no '%s'".formatted(Json.path(parser, ""), member));
    }
  }

  static String text(JsonParser parser) throws InferenceFailure {
    if (parser.currentToken() != JsonToken.VALUE_STRING) {
      throw Json.wrong(parser, "", "a string");
    }
    return parser.getString();
  }

  static boolean truth(JsonParser parser) throws InferenceFailure {
    return switch (parser.currentToken()) {
      case VALUE_TRUE -> true;
      case VALUE_FALSE -> false;
      default -> throw Json.wrong(parser, "", "true or false");
    };
  }

  static long dimension(JsonParser parser) throws InferenceFailure {
    if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT
        || parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER) {
      throw Json.wrong(parser, "", "a dimension, an integer of 64 bits");
    }
    return parser.getLongValue();
  }
}
