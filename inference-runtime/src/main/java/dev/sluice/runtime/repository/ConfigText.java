package dev.sluice.runtime.repository;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.TextFormat;
import com.google.protobuf.util.JsonFormat;
import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.runtime.model.ModelLoadException;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// A model's configuration from its two written forms, protobuf text in a file and JSON in a request.
///
/// A field that Triton does not have is a misspelling until somebody says otherwise: one that is silently ignored
/// leaves a model running with what its owner did not choose.
final class ConfigText {
  private static final Logger log = LoggerFactory.getLogger(ConfigText.class);
  /// How the parser's summary of unknown fields begins; a line for each follows.
  private static final String UNKNOWN_FIELDS = "Input contains unknown fields";
  private static final Pattern UNKNOWN_FIELD = Pattern.compile("(\\d+):(\\d+):\\s*(?:inference\\.)?(\\S+)");
  private static final String UNKNOWN_JSON_FIELD = "Cannot find field: ";
  private static final TextFormat.Parser TEXT =
      TextFormat.Parser.newBuilder()
          .setSingularOverwritePolicy(TextFormat.Parser.SingularOverwritePolicy.FORBID_SINGULAR_OVERWRITES)
          .build();

  private ConfigText() {}

  /// Reads protobuf text; `label` names it in messages, together with line and column.
  static ModelConfig ofText(String text, String label, boolean ignoreUnknownFields) throws ModelLoadException {
    ModelConfig.Builder config = ModelConfig.newBuilder();
    try {
      TEXT.merge(text, config);
    } catch (TextFormat.ParseException e) {
      String message = String.valueOf(e.getMessage()).replaceFirst("^\\d+:\\d+: ", "");
      // The parser complains of unknown fields only after it has read everything else into the builder.
      if (!message.startsWith(UNKNOWN_FIELDS)) {
        throw new ModelLoadException(
            "%s, line %d, column %d: %s".formatted(label, e.getLine(), e.getColumn(), message), e);
      }
      List<String> unknown = message.lines().skip(1).map(ConfigText::unknownField).toList();
      if (!ignoreUnknownFields) {
        throw new ModelLoadException("%s, %s".formatted(label, String.join("; ", unknown)), e);
      }
      log.warn("{}: ignored {}", label, unknown.stream().collect(Collectors.joining("; ")));
    }
    return config.build();
  }

  private static String unknownField(String line) {
    Matcher field = UNKNOWN_FIELD.matcher(line.strip());
    if (!field.matches()) {
      return line.strip();
    }
    return "line %s, column %s: '%s' is not a field of Triton's model configuration"
        .formatted(field.group(1), field.group(2), field.group(3));
  }

  /// Reads protobuf's JSON, with the fields' names in either spelling, `max_batch_size` or `maxBatchSize`.
  static ModelConfig ofJson(String json, String label, boolean ignoreUnknownFields) throws ModelLoadException {
    ModelConfig.Builder config = ModelConfig.newBuilder();
    try {
      JsonFormat.parser().merge(json, config);
      return config.build();
    } catch (InvalidProtocolBufferException e) {
      String message = jsonFault(e);
      if (!ignoreUnknownFields || !message.startsWith(UNKNOWN_JSON_FIELD)) {
        throw new ModelLoadException("%s: %s".formatted(label, message), e);
      }
      log.warn("{}: ignored what is unknown in it, first of all: {}", label, message);
    }
    try {
      config.clear();
      JsonFormat.parser().ignoringUnknownFields().merge(json, config);
      return config.build();
    } catch (InvalidProtocolBufferException e) {
      throw new ModelLoadException("%s: %s".formatted(label, jsonFault(e)), e);
    }
  }

  // The first line, without the parser's own class names; a link to the parser's manual follows.
  private static String jsonFault(InvalidProtocolBufferException e) {
    return String.valueOf(e.getMessage())
        .replaceFirst("^(?:[a-z]+\\.)+[A-Za-z]+Exception: ", "")
        .replaceFirst("in message inference\\.", "in ")
        .lines()
        .findFirst()
        .orElse("not JSON");
  }
}
