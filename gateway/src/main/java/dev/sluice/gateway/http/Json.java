package dev.sluice.gateway.http;

import dev.sluice.gateway.routing.InferenceFailure;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.regex.Pattern;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.TokenStreamContext;
import tools.jackson.core.TokenStreamFactory;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.core.json.JsonWriteFeature;

/// JSON as this face reads and writes it, and the sentences for what is wrong with a document.
final class Json {

  /// As deep as Triton's.
  private static final int NESTING_MAX = 100;

  /// What a sentence shows of a value.
  private static final int SHOWN_CHARS = 40;

  /// UTF-8 only. `NaN`, `Infinity` and `-Infinity` are numbers, read and written bare, as Triton does.
  static final JsonFactory FACTORY =
      JsonFactory.builder()
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .disable(JsonWriteFeature.WRITE_NAN_AS_STRINGS)
          .disable(TokenStreamFactory.Feature.CHARSET_DETECTION)
          // A string is bounded by the body that it came in.
          .streamReadConstraints(
              StreamReadConstraints.builder().maxNestingDepth(NESTING_MAX).maxStringLength(Integer.MAX_VALUE).build())
          .build();

  /// What Jackson says of the place where something began; it has no source to show and no place to tell here.
  private static final Pattern PARSER_PLACE = Pattern.compile(" \\(start marker at \\[Source: [^\\]]*\\]\\)");

  private Json() {}

  /// Something that is not JSON at all.
  static InferenceFailure unreadable(JacksonException e) {
    long at = e.getLocation() == null ? -1 : e.getLocation().getByteOffset();
    return InferenceFailure.invalid(
        "failed to parse the request JSON buffer: %s%s"
            .formatted(clipped(PARSER_PLACE.matcher(e.getOriginalMessage()).replaceAll(""), 400), at < 0 ? "" : " at " + at));
  }

  /// The value that the parser stands on is not what belongs there.
  ///
  /// @param where the parser's document in the whole one, empty when it is the whole one
  static InferenceFailure wrong(JsonParser parser, String where, String expected) {
    return InferenceFailure.invalid(
        "%s: %s is not %s".formatted(path(parser, where), shown(parser), expected));
  }

  /// Where the parser stands, as people write it: `inputs[0].shape[1]`.
  static String path(JsonParser parser, String where) {
    TokenStreamContext context = parser.streamReadContext();
    JsonToken token = parser.currentToken();
    if (token == JsonToken.START_ARRAY || token == JsonToken.START_OBJECT) {
      context = context.getParent(); // it is the new one's already
    }
    Deque<String> steps = new ArrayDeque<>();
    for (; context != null && !context.inRoot(); context = context.getParent()) {
      if (context.inArray()) {
        steps.push("[" + context.getCurrentIndex() + "]");
      } else if (context.currentName() != null) {
        steps.push("." + clipped(context.currentName(), SHOWN_CHARS));
      }
    }
    String path = where + String.join("", steps);
    return path.isEmpty() ? "the request" : path.startsWith(".") ? path.substring(1) : path;
  }

  private static String shown(JsonParser parser) {
    JsonToken token = parser.currentToken();
    return switch (token) {
      case null -> "nothing";
      case START_OBJECT -> "an object";
      case START_ARRAY -> "an array";
      case VALUE_STRING -> "\"" + clipped(parser.getString(), SHOWN_CHARS) + "\"";
      default -> clipped(parser.getString(), SHOWN_CHARS);
    };
  }

  static String clipped(String text, int chars) {
    return text.length() <= chars ? text : text.substring(0, chars) + "...";
  }
}
