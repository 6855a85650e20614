package dev.sluice.loadtest.traffic;

import com.google.protobuf.ByteString;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.core.json.JsonFactory;

/// Reads payloads in perf_analyzer's JSON. `{"data": [step, ...]}`, where a step maps every input to its elements
/// (`[1, 2]`, nested as you like), to `{"content": [1, 2], "shape": [2, 1]}` or to `{"b64": "..."}` (raw bytes). Steps
/// may be grouped into lists; the groups are joined. Read by tokens, so that every complaint has its line and column.
final class PayloadFile {
  private static final int STEPS_MAX = 100_000;
  private static final long BYTES_MAX = 1L << 30;

  private final Path file;
  private final RequestForm form;
  private final List<byte[]> messages = new ArrayList<>();
  private long bytes;

  PayloadFile(Path file, RequestForm form) {
    this.file = file;
    this.form = form;
  }

  List<byte[]> read() {
    if (!Files.isReadable(file) || Files.isDirectory(file)) {
      throw new InvalidTrafficException("payload file %s: cannot be read; expected a JSON file".formatted(file));
    }
    try (JsonParser json = JsonFactory.builder().build().createParser(ObjectReadContext.empty(), file)) {
      json.nextToken();
      expect(json, JsonToken.START_OBJECT, "an object {\"data\": [...]}");
      boolean found = false;
      while (json.nextToken() == JsonToken.PROPERTY_NAME) {
        boolean data = json.currentName().equals("data");
        json.nextToken();
        if (data) {
          expect(json, JsonToken.START_ARRAY, "an array of payloads in \"data\"");
          readSteps(json);
          found = true;
        } else {
          json.skipChildren();
        }
      }
      if (!found || messages.isEmpty()) {
        throw new InvalidTrafficException("payload file %s: no payload found; expected {\"data\": [{\"INPUT\": [...]}]}"
            .formatted(file));
      }
      return messages;
    } catch (JacksonException e) {
      TokenStreamLocation at = e.getLocation();
      throw new InvalidTrafficException("payload file %s%s: not valid JSON: %s".formatted(
          file, at == null ? "" : position(at), e.getOriginalMessage().lines().findFirst().orElse("")));
    }
  }

  private void readSteps(JsonParser json) {
    while (json.nextToken() != JsonToken.END_ARRAY) {
      if (json.currentToken() == JsonToken.START_ARRAY) {
        readSteps(json);
        continue;
      }
      expect(json, JsonToken.START_OBJECT, "a payload {\"INPUT\": [...]}");
      byte[] message = readStep(json);
      bytes += message.length;
      messages.add(message);
      if (messages.size() > STEPS_MAX || bytes > BYTES_MAX) {
        throw wrong(json, "more than %d payloads or %d MiB; expected less".formatted(STEPS_MAX, BYTES_MAX >> 20));
      }
    }
  }

  private byte[] readStep(JsonParser json) {
    var message = form.new Message();
    while (json.nextToken() == JsonToken.PROPERTY_NAME) {
      InputForm input = form.input(json.currentName());
      if (input == null) {
        throw wrong(json, "input '%s' is unknown; model '%s' has inputs %s".formatted(
            json.currentName(), form.model(), form.inputs().stream().map(InputForm::name).toList()));
      }
      json.nextToken();
      var tensor = new Tensor(input);
      tensor.read(json);
      message.add(input, tensor.closedShape(json), tensor.contents());
    }
    List<String> given = message.names();
    for (InputForm input : form.inputs()) {
      if (given.stream().filter(input.name()::equals).count() != 1) {
        throw wrong(json, "payload %d gives inputs %s; expected '%s' once"
            .formatted(messages.size() + 1, given, input.name()));
      }
    }
    return message.serialise();
  }

  /// One input of one payload being read.
  private final class Tensor {
    private final InputForm input;
    private final RawBytes raw = new RawBytes(256);
    private long elements;
    private @Nullable List<Long> shape;
    private byte @Nullable [] base64;

    Tensor(InputForm input) {
      this.input = input;
    }

    void read(JsonParser json) {
      if (json.currentToken() != JsonToken.START_OBJECT) {
        readElements(json);
        return;
      }
      while (json.nextToken() == JsonToken.PROPERTY_NAME) {
        String field = json.currentName();
        json.nextToken();
        switch (field) {
          case "content" -> readElements(json);
          case "shape" -> readShape(json);
          case "b64" -> {
            expect(json, JsonToken.VALUE_STRING, "base64 text in \"b64\"");
            base64 = json.getBinaryValue();
          }
          default -> throw wrong(json, "input '%s': field '%s' is unknown; expected content, shape or b64"
              .formatted(input.name(), field));
        }
      }
    }

    ByteString contents() {
      return base64 == null ? raw.toByteString() : ByteString.copyFrom(base64);
    }

    List<Long> closedShape(JsonParser json) {
      int width = input.datatype().width;
      if (base64 != null && width > 0 && base64.length % width != 0) {
        throw wrong(json, "input '%s' (%s): %d bytes in \"b64\"; expected a multiple of %d"
            .formatted(input.name(), input.datatype(), base64.length, width));
      }
      if (base64 != null && width == 0 && shape == null) {
        throw wrong(json, "input '%s' (BYTES): \"b64\" needs a \"shape\" beside it".formatted(input.name()));
      }
      if (shape == null) {
        long count = base64 == null ? elements : base64.length / width;
        List<Long> inferred = input.shapeFor(count);
        if (inferred == null) {
          throw wrong(json, "input '%s': %d elements do not fit shape %s; give them a \"shape\" or change their number"
              .formatted(input.name(), count, input.declared()));
        }
        return inferred;
      }
      if (!input.admits(shape)) {
        throw wrong(json, "input '%s': shape %s; the model declares %s"
            .formatted(input.name(), shape, input.declared()));
      }
      long expected = input.elements(shape);
      boolean fits = base64 == null ? expected == elements : width == 0 || expected * width == base64.length;
      if (!fits) {
        throw wrong(json, "input '%s': %d elements; shape %s needs %d".formatted(
            input.name(), base64 == null ? elements : base64.length / width, shape, expected));
      }
      return shape;
    }

    private void readShape(JsonParser json) {
      expect(json, JsonToken.START_ARRAY, "an array of dimensions in \"shape\"");
      var dimensions = new ArrayList<Long>();
      while (json.nextToken() != JsonToken.END_ARRAY) {
        if (json.currentToken() != JsonToken.VALUE_NUMBER_INT || json.getBigIntegerValue().signum() < 0) {
          throw wrong(json, "input '%s': dimension %s; expected an integer of 0 or more"
              .formatted(input.name(), json.getString()));
        }
        dimensions.add(json.getBigIntegerValue().min(BigInteger.valueOf(Long.MAX_VALUE)).longValue());
      }
      shape = dimensions;
    }

    private void readElements(JsonParser json) {
      expect(json, JsonToken.START_ARRAY, "an array of %s elements for input '%s'"
          .formatted(input.datatype(), input.name()));
      for (int depth = 1; depth > 0;) {
        switch (json.nextToken()) {
          case START_ARRAY -> depth++;
          case END_ARRAY -> depth--;
          case null -> throw wrong(json, "the file ends inside input '%s'".formatted(input.name()));
          default -> readElement(json);
        }
      }
    }

    private void readElement(JsonParser json) {
      Datatype datatype = input.datatype();
      JsonToken token = json.currentToken();
      boolean integer = token == JsonToken.VALUE_NUMBER_INT;
      boolean written = switch (datatype.kind) {
        case BOOL -> putBool(json, token);
        case SIGNED, UNSIGNED -> integer && putInteger(json.getBigIntegerValue());
        case FLOAT -> {
          if (integer || token == JsonToken.VALUE_NUMBER_FLOAT) {
            datatype.putFloat(raw, json.getDoubleValue());
            yield true;
          }
          yield false;
        }
        case TEXT -> {
          if (token == JsonToken.VALUE_STRING) {
            raw.put(json.getString());
            yield true;
          }
          yield false;
        }
      };
      if (!written) {
        throw wrong(json, "input '%s' (%s): %s; expected %s"
            .formatted(input.name(), datatype, shown(json), expected(datatype)));
      }
      elements++;
      if (raw.size() > InputForm.BYTES_MAX) {
        throw wrong(json, "input '%s' takes more than %d MiB; expected less"
            .formatted(input.name(), InputForm.BYTES_MAX >> 20));
      }
    }

    private boolean putBool(JsonParser json, JsonToken token) {
      boolean bit = token == JsonToken.VALUE_NUMBER_INT && json.getBigIntegerValue().bitLength() <= 1
          && json.getBigIntegerValue().signum() >= 0;
      if (bit || token == JsonToken.VALUE_TRUE || token == JsonToken.VALUE_FALSE) {
        raw.put(token == JsonToken.VALUE_TRUE || (bit && json.getBigIntegerValue().signum() > 0) ? 1 : 0, 1);
        return true;
      }
      return false;
    }

    private boolean putInteger(BigInteger value) {
      Datatype datatype = input.datatype();
      if (value.compareTo(datatype.smallest()) < 0 || value.compareTo(datatype.largest()) > 0) {
        return false;
      }
      raw.put(value.longValue(), datatype.width);
      return true;
    }
  }

  private static String expected(Datatype datatype) {
    return switch (datatype.kind) {
      case BOOL -> "true, false, 1 or 0";
      case SIGNED, UNSIGNED -> "an integer from %s to %s".formatted(datatype.smallest(), datatype.largest());
      case FLOAT -> "a number";
      case TEXT -> "a string";
    };
  }

  private void expect(JsonParser json, JsonToken token, String what) {
    if (json.currentToken() != token) {
      throw wrong(json, "%s; expected %s".formatted(shown(json), what));
    }
  }

  private static String shown(JsonParser json) {
    return switch (json.currentToken()) {
      case null -> "end of file";
      case START_OBJECT -> "an object";
      case START_ARRAY -> "an array";
      case VALUE_STRING -> '"' + json.getString() + '"';
      default -> json.getString();
    };
  }

  private InvalidTrafficException wrong(JsonParser json, String complaint) {
    return new InvalidTrafficException(
        "payload file %s%s: %s".formatted(file, position(json.currentTokenLocation()), complaint));
  }

  private static String position(TokenStreamLocation at) {
    return " line %d, column %d".formatted(at.getLineNr(), at.getColumnNr());
  }
}
