package dev.sluice.gateway.http;

import static dev.sluice.runtime.testing.Tensors.floats;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.config.Listeners;
import dev.sluice.gateway.testing.Rest;
import dev.sluice.gateway.testing.RestTensors;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxModels;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Every wrong body has one status and one sentence that names the place and the value, and does the server no harm.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class BadBodyTest {

  private static final int BYTES_MAX = 1 << 20;
  private static final String VALID =
      "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],\"datatype\":\"FP32\",\"data\":[1,2,3]}]}";

  /// @param body bytes as Latin-1
  record Case(String name, String model, String body, List<String> headers, int status, String words) {
    @Override
    public String toString() {
      return name;
    }
  }

  @SuppressWarnings("NullAway.Init") // before the first test
  private RunningGateway gateway;

  @BeforeAll
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.linear(2, 1, 3).writeTo(models, "linear", 1);
    for (Datatype datatype : Datatype.values()) {
      OnnxModels.identity(datatype, -1).writeTo(models, datatype.name(), 1);
    }
    OnnxModels.identity(Datatype.BYTES, -1, -1).writeTo(models, "words", 1);
    OnnxModels.identity(Datatype.FP32, -1, -1, -1).writeTo(models, "cube", 1);
    gateway =
        RunningGateway.start(
            GatewayConfig.onFreePorts(models, folder.resolve("data"))
                .with(new Listeners("127.0.0.1", "127.0.0.1", 0, 0, 0, 0, BYTES_MAX, Duration.ofSeconds(5))));
  }

  @AfterAll
  void stop() {
    gateway.close();
  }

  @AfterEach
  void theServerStillAnswers() {
    assertThat(RestTensors.outputs(gateway.rest().post("/v2/models/linear/infer", VALID)))
        .containsExactly(floats("y", Shape.of(1, 3), 3, 5, 7));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void eachMistakeIsNamed(Case mistake) {
    Rest.Answer answer =
        gateway
            .rest()
            .post(
                "/v2/models/" + mistake.model + "/infer",
                mistake.body.getBytes(ISO_8859_1),
                mistake.headers.toArray(String[]::new));

    assertThat(answer.error()).contains(mistake.words).doesNotContain("[Source:");
    assertThat(answer.status()).isEqualTo(mistake.status);
    assertThat(answer.header("Content-Type")).isEqualTo("application/json");
  }

  private static Stream<Case> cases() {
    return Stream.of(
        // no JSON
        bad("nothing", "", "the body is empty; an object is expected"),
        bad("blanks", "  \n ", "the body is empty"),
        bad("no JSON", "hello", "failed to parse the request JSON buffer: Unrecognized token 'hello'"),
        bad("cut off in an array", VALID.substring(0, VALID.length() - 4), "failed to parse the request JSON buffer: Unexpected end-of-input"),
        bad("cut off in a string", "{\"inp", "failed to parse the request JSON buffer: Unexpected end-of-input"),
        bad("something behind it", VALID + "{}", "something follows the request"),
        bad("binary data, but no header", VALID + "\0\0\0\0", "failed to parse the request JSON buffer"),
        bad("no UTF-8", "{\"id\":\"\u00ff\u00fe\"," + VALID.substring(1), "Invalid UTF-8"),
        bad("UTF-16", "\u00fe\u00ff\0{\0}", "failed to parse the request JSON buffer"),
        bad("a comment", "/* */" + VALID, "failed to parse the request JSON buffer"),
        bad("deep nesting", input("[1]", "FP32", "[".repeat(100_000)), "nesting depth (101) exceeds the maximum allowed (100"),
        bad("deep nesting of what is passed over", "{\"x\":" + "[".repeat(100_000), "nesting depth (101)"),
        bad("deep nesting of objects", "{\"a\":".repeat(100_000), "nesting depth (101)"),
        bad("a number of a million digits", input("[1]", "FP32", "[" + "9".repeat(900_000) + "]"), "failed to parse"),

        // another document
        bad("an array", "[]", "the request: an array is not an object"),
        bad("a string", "\"x\"", "the request: \"x\" is not an object"),
        bad("null", "null", "the request: null is not an object"),
        bad("no inputs", "{}", "Unable to parse 'inputs'"),
        bad("inputs are null", "{\"inputs\":null}", "Unable to parse 'inputs'"),
        bad("inputs are an object", "{\"inputs\":{}}", "inputs: an object is not an array"),
        bad("an input is a number", "{\"inputs\":[7]}", "inputs[0]: 7 is not an object"),
        bad("an input is null", "{\"inputs\":[null]}", "inputs[0]: null is not an object"),
        bad("an id that is a number", "{\"id\":17," + VALID.substring(1), "id: 17 is not a string"),
        bad("inputs twice", "{\"inputs\":[]," + VALID.substring(1), "inputs: is given twice"),
        bad("a shape twice", input("[1,3],\"shape\":[1,3]", "FP32", "[1,2,3]"), "inputs[0].shape: is given twice"),
        bad("too many inputs",
            "{\"inputs\":[" + input("x") + ("," + input("x")).repeat(1024) + "]}", "inputs[1024]: is one more than the 1024"),
        bad("too many parameters", "{\"parameters\":" + object(1025) + "}", "is one more than the 1024"),

        // one input
        bad("no name", "{\"inputs\":[{\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}", "inputs[0]: has no 'name'"),
        bad("no shape", "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"data\":[1]}]}", "inputs[0]: has no 'shape'"),
        bad("no datatype", "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"data\":[1]}]}", "inputs[0]: has no 'datatype'"),
        bad("no data", "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],\"datatype\":\"FP32\"}]}",
            "inputs[0]: Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', "
                + "'shared_memory_region' in 'parameters'. But no field is set"),
        bad("two sources", input("[1,3]", "FP32", "[1,2,3],\"parameters\":{\"binary_data_size\":4}"),
            "But set 'data' 'binary_data_size'"),
        bad("a name that is a number", input("[1]", "FP32", "[1]").replace("\"x\"", "7"), "inputs[0].name: 7 is not a string"),
        bad("a shape that is a number", input("3", "FP32", "[1]"), "inputs[0].shape: 3 is not an array"),
        bad("a dimension that is text", input("[1,\"3\"]", "FP32", "[1]"), "inputs[0].shape[1]: \"3\" is not a dimension"),
        bad("a dimension with a point", input("[1,3.0]", "FP32", "[1,2,3]"), "inputs[0].shape[1]: 3.0 is not a dimension"),
        bad("a dimension beyond 64 bits", input("[99999999999999999999]", "FP32", "[1]"), "inputs[0].shape[0]: 9999"),
        bad("a negative dimension", input("[-1,3]", "FP32", "[1,2,3]"), "dimension -1 is below 0"),
        bad("more elements than can be counted",
            input("[4611686018427387904,3]", "FP32", "[1,2,3]"), "more elements than can be counted"),
        bad("too many dimensions", input("[1" + ",1".repeat(2000) + "]", "FP32", "[1]"), "inputs[0].shape[1024]: is one more"),
        bad("an unknown datatype", input("[1,3]", "FLOAT", "[1,2,3]"), "data-type is 'FLOAT', but model 'linear' expects 'FP32'"),
        bad("another datatype", input("[1,3]", "INT32", "[1,2,3]"), "data-type is 'INT32', but model 'linear' expects 'FP32'"),
        bad("another name", input("[1,3]", "FP32", "[1,2,3]").replace("\"x\"", "\"z\""), "unexpected inference input 'z'"),
        bad("another shape", input("[1,2]", "FP32", "[1,2]"), "unexpected shape for input 'x' for model 'linear'"),
        bad("an unknown output", "{\"outputs\":[{\"name\":\"z\"}]," + VALID.substring(1), "unexpected inference output 'z'"),
        bad("an output without a name", "{\"outputs\":[{}]," + VALID.substring(1), "outputs[0]: has no 'name'"),
        bad("binary data that is a word", "{\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":\"yes\"}}]," + VALID.substring(1),
            "outputs[0].parameters.binary_data: \"yes\" is not true or false"),
        bad("all binary, said by a number", "{\"parameters\":{\"binary_data_output\":1}," + VALID.substring(1),
            "parameters.binary_data_output: 1 is not true or false"),
        bad("a parameter that is an array", "{\"parameters\":{\"p\":[1]}," + VALID.substring(1),
            "parameters.p: an array is not a string, a number or a boolean"),
        bad("a parameter beyond 64 bits", "{\"parameters\":{\"p\":99999999999999999999}," + VALID.substring(1),
            "parameters.p: 99999999999999999999 is not an integer of 64 bits"),

        // elements
        bad("data that is a number", input("[1,3]", "FP32", "7"), "inputs[0].data: 7 is not an array"),
        bad("too few elements", input("[1,3]", "FP32", "[1,2]"), "inputs[0].data: has 2 elements, but shape [1, 3] of input 'x' stands for 3"),
        bad("too many elements", input("[1,3]", "FP32", "[[1,2,3,4]]"), "inputs[0].data: has 4 elements"),
        bad("an object among them", input("[1,3]", "FP32", "[[1,{},3]]"), "inputs[0].data[0][1]: an object is not a number, as FP32 needs"),
        bad("data before its datatype", "{\"inputs\":[{\"data\":[[1],[true]],\"datatype\":\"FP32\",\"name\":\"x\",\"shape\":[2]}]}",
            "inputs[0].data[1][0]: true is not a number, as FP32 needs"),
        element("FP32", "null", "null is not a number"),
        element("FP32", "\"1\"", "\"1\" is not a number"),
        element("FP32", "1e39", "1e39 is not in the range of FP32"),
        element("FP64", "1e400", "1e400 is not in the range of FP64"),
        element("BOOL", "1", "1 is not true or false"),
        element("BYTES", "1", "1 is not a string"),
        element("INT8", "128", "128 is not in the range of INT8"),
        element("INT8", "-129", "-129 is not in the range of INT8"),
        element("INT16", "32768", "32768 is not in the range of INT16"),
        element("INT32", "2147483648", "2147483648 is not in the range of INT32"),
        element("INT64", "9223372036854775808", "9223372036854775808 is not in the range of INT64"),
        element("UINT8", "-1", "-1 is not in the range of UINT8"),
        element("UINT8", "256", "256 is not in the range of UINT8"),
        element("UINT16", "65536", "65536 is not in the range of UINT16"),
        element("UINT32", "4294967296", "4294967296 is not in the range of UINT32"),
        element("UINT64", "18446744073709551616", "18446744073709551616 is not in the range of UINT64"),
        element("UINT64", "-1", "-1 is not in the range of UINT64"),
        element("INT32", "1.0", "1.0 is not an integer"),
        element("INT32", "NaN", "NaN is not an integer"),
        new Case("FP16 in JSON", "FP16", input("[1]", "FP16", "[1]"), List.of(), 400,
            "receiving FP16 data via JSON is not supported. Please use the binary data format for input x"),
        new Case("BF16 in JSON", "BF16", input("[1]", "BF16", "[1]"), List.of(), 400, "receiving BF16 data via JSON"),

        // binary data
        binary("fewer bytes than announced", binaryInput("12"), "\0".repeat(8),
            "unexpected size for input 'x', expecting 4 additional bytes for model 'linear'"),
        binary("more bytes than announced", binaryInput("12"), "\0".repeat(13), "unexpected additional input data for model 'linear'"),
        binary("another size than the shape's", binaryInput("8"), "\0".repeat(8), "input byte size mismatch for input 'x'"),
        binary("a negative size", binaryInput("-1"), "\0".repeat(12), "binary_data_size: -1 is not a number of bytes"),
        binary("a huge size", binaryInput("9223372036854775807"), "\0".repeat(12), "unexpected size for input 'x'"),
        binary("a size beyond 64 bits", binaryInput("18446744073709551616"), "\0".repeat(12), "is not an integer of 64 bits"),
        binary("a size in words", binaryInput("\"12\""), "\0".repeat(12), "binary_data_size: \"12\" is not a number of bytes"),
        binary("a size with a point", binaryInput("12.0"), "\0".repeat(12), "binary_data_size: 12.0 is not a number of bytes"),
        binary("bytes of nobody", VALID, "\0", "unexpected additional input data"),
        new Case("a header that is missing", "linear", binaryInput("12"), List.of(), 400,
            "is the header Inference-Header-Content-Length missing?"),
        header("a negative header", "-1", "inference header size should be in range (0, "),
        header("a header beyond the body", "1000", "inference header size should be in range (0, "),
        header("a header beyond 64 bits", "99999999999999999999", "Unable to parse Inference-Header-Content-Length, got: 9999"),
        header("a header in words", "all", "Unable to parse Inference-Header-Content-Length, got: all"),
        new Case("a raw body that no shape fits", "linear", "\0".repeat(13), List.of(Rest.JSON_LENGTH, "0"), 400,
            "input byte size mismatch for input 'x'"),
        new Case("a raw body of two free dimensions", "cube", "\0".repeat(16), List.of(Rest.JSON_LENGTH, "0"), 400,
            "can not be deduced because there are more than one variable-sized dimension"),
        new Case("a raw body for strings", "words", "text", List.of(Rest.JSON_LENGTH, "0"), 400,
            "For BYTE datatype raw input 'x', the model must have input shape [1]"),
        header("a header that cuts the document", "40", "failed to parse the request JSON buffer: Unexpected end-of-input"),
        new Case("shared memory", "linear",
            "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],\"datatype\":\"FP32\",\"parameters\":{\"shared_memory_region\":\"r\"}}]}",
            List.of(), 404, "Unable to find shared memory region: 'r'"),

        // encodings
        new Case("an unknown encoding", "linear", VALID, List.of("Content-Encoding", "br"), 501,
            "Unsupported compression type 'br'"),
        new Case("no gzip data", "linear", VALID, List.of("Content-Encoding", "gzip"), 400, "not whole gzip data"),
        new Case("no deflate data", "linear", VALID, List.of("Content-Encoding", "deflate"), 400, "not whole deflate data"),
        new Case("half gzip data", "linear", gzip(VALID).substring(0, 40), List.of("Content-Encoding", "gzip"), 400,
            "not whole gzip data"),
        new Case("a bomb", "linear", gzip(" ".repeat(64 << 20)), List.of("Content-Encoding", "gzip"), 413,
            "more than 1048576 bytes"),

        // sizes
        new Case("a body beyond the largest message", "linear", " ".repeat(BYTES_MAX + 1), List.of(), 413,
            "the request's body has more than 1048576 bytes, the largest message"),
        new Case("a tensor beyond the largest message", "FP64", input("[200000]", "FP64", "[1" + ",1".repeat(199_999) + "]"),
            List.of(), 400, "the tensor has more than 1048576 bytes"),

        // models
        new Case("an unknown model", "nosuch", VALID, List.of(), 404, "'nosuch' is not found"),
        new Case("an unknown version", "linear/versions/9", VALID, List.of(), 404, "'linear' version 9"));
  }

  /// One changed, missing or additional byte anywhere: an answer of the protocol, whatever it is, and a server that lives.
  @Test
  void noBodyWithRandomBytesBreaksTheServer() {
    long seed = Long.getLong("sluice.seed", 20_261_121L);
    Random random = new Random(seed);
    byte[] valid =
        ("{\"id\":\"a\",\"parameters\":{\"binary_data_output\":true,\"p\":1.5},\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],"
                + "\"datatype\":\"FP32\",\"parameters\":{\"binary_data_size\":12}}],\"outputs\":[{\"name\":\"y\"}]}")
            .getBytes(ISO_8859_1);
    for (int round = 0; round < 500; round++) {
      byte[] body = Arrays.copyOf(valid, valid.length + 12);
      for (int i = 1 + random.nextInt(3); i > 0; i--) {
        body[random.nextInt(valid.length)] = (byte) random.nextInt(256);
      }
      int length = random.nextInt(4) == 0 ? random.nextInt(body.length + 1) : valid.length;
      Rest.Answer answer =
          gateway.rest().post("/v2/models/linear/infer", body, Rest.JSON_LENGTH, Integer.toString(length));
      assertThat(answer.status()).as("seed %d, round %d: %s", seed, round, answer.text()).isIn(200, 400, 404);
    }
  }

  // --- bodies ---------------------------------------------------------------------------------------------------------

  private static Case bad(String name, String body, String words) {
    return new Case(name, "linear", body, List.of(), 400, words);
  }

  private static Case element(String datatype, String value, String words) {
    return new Case(
        datatype + " " + value, datatype, input("[2]", datatype, "[" + good(datatype) + "," + value + "]"), List.of(), 400,
        "inputs[0].data[1]: " + words);
  }

  private static String good(String datatype) {
    return switch (datatype) {
      case "BOOL" -> "true";
      case "BYTES" -> "\"\"";
      default -> "1";
    };
  }

  private static Case binary(String name, String json, String data, String words) {
    return new Case(name, "linear", json + data, List.of(Rest.JSON_LENGTH, "" + json.length()), 400, words);
  }

  private static Case header(String name, String value, String words) {
    return new Case(name, "linear", VALID, List.of(Rest.JSON_LENGTH, value), 400, words);
  }

  private static String input(String shape, String datatype, String data) {
    return "{\"inputs\":[{\"name\":\"x\",\"shape\":%s,\"datatype\":\"%s\",\"data\":%s}]}".formatted(shape, datatype, data);
  }

  private static String input(String name) {
    return "{\"name\":\"%s\",\"shape\":[0],\"datatype\":\"FP32\",\"data\":[]}".formatted(name);
  }

  private static String binaryInput(String size) {
    return "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],\"datatype\":\"FP32\",\"parameters\":{\"binary_data_size\":%s}}]}"
        .formatted(size);
  }

  private static String object(int members) {
    StringBuilder object = new StringBuilder("{\"p0\":0");
    for (int i = 1; i < members; i++) {
      object.append(",\"p").append(i).append("\":0");
    }
    return object.append('}').toString();
  }

  private static String gzip(String text) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (GZIPOutputStream gzip = new GZIPOutputStream(out)) {
      gzip.write(text.getBytes(ISO_8859_1));
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return out.toString(ISO_8859_1);
  }
}
