package dev.sluice.gateway.http;

import static dev.sluice.gateway.testing.Notes.note;
import static dev.sluice.runtime.testing.Tensors.floats;
import static dev.sluice.runtime.testing.Tensors.strings;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.testing.Rest;
import dev.sluice.gateway.testing.RestTensors;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.control.v1.SetLabelRequest;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.http.HttpRequest.BodyPublishers;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.zip.DeflaterOutputStream;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import java.util.zip.InflaterInputStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/// Inference over HTTP: what the documents say and may leave unsaid. That every datatype and shape survives both forms is
/// held by the test of every wire.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class InferTest {

  private static final String LINEAR = "/v2/models/linear/infer";

  @SuppressWarnings("NullAway.Init") // before the first test
  private RunningGateway gateway;

  @SuppressWarnings("NullAway.Init") // before the first test
  private Rest rest;

  @BeforeAll
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.linear(2, 1, 3).writeTo(models, "linear", 1);
    OnnxModels.linear(1, 0, 1).writeTo(models, "m", 1);
    OnnxModels.linear(1, 0, 1).writeTo(models, "m", 2);
    for (Datatype datatype : List.of(Datatype.FP16, Datatype.FP32, Datatype.FP64, Datatype.BYTES)) {
      OnnxModels.identity(datatype, -1).writeTo(models, "identity-" + datatype, 1);
    }
    OnnxModels.identity(Datatype.FP32, -1, -1).writeTo(models, "row", 1);
    new OnnxGraph()
        .input("a", Datatype.FP32, -1)
        .input("b", Datatype.FP32, -1)
        .node("Add", List.of("a", "b"), List.of("sum"))
        .node("Sub", List.of("a", "b"), List.of("difference"))
        .output("sum", Datatype.FP32, -1)
        .output("difference", Datatype.FP32, -1)
        .writeTo(models, "sum-and-difference", 1);
    gateway = RunningGateway.start(models, folder.resolve("data"));
    rest = gateway.rest();
  }

  @AfterAll
  void stop() {
    gateway.close();
  }

  @Test
  void theAnswerIsTritonsToTheLetter() {
    Rest.Answer answer =
        rest.post(
            LINEAR,
            """
            {"id":"r-1","inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[[1,2.5,-3]]}]}""");

    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.header("Content-Type")).isEqualTo("application/json");
    assertThat(answer.header(Rest.JSON_LENGTH)).isEmpty();
    assertThat(answer.text())
        .isEqualTo(
            "{\"id\":\"r-1\",\"model_name\":\"linear\",\"model_version\":\"1\",\"outputs\":"
                + "[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[1,3],\"data\":[3.0,6.0,-5.0]}]}");
  }

  @Test
  void theVersionOrItsLabelMayBeInThePath() {
    gateway
        .models()
        .setLabel(
            SetLabelRequest.newBuilder()
                .setModel("linear").setLabel("stable").setVersion(1).setActor("test").setReason("because").build());
    for (String version : List.of("1", "stable")) {
      Rest.Answer answer =
          rest.post("/v2/models/linear/versions/%s/infer".formatted(version), request("[1,3]", "[0,0,0]"));

      assertThat(answer.status()).as(answer.text()).isEqualTo(200);
      assertThat(answer.json().get("model_version").asString()).isEqualTo("1");
    }
    assertThat(rest.get("/v2/models/linear/versions/stable/ready").status()).isEqualTo(200);
    assertThat(rest.get("/v2/models/linear/versions/nosuch/ready").status()).isEqualTo(400);
  }

  @Test
  void membersMayComeInAnyOrderAndStandForNothingWhenTheyAreNull() {
    Rest.Answer answer =
        rest.post(
            LINEAR,
            """
            {"outputs":null,"parameters":null,"id":null,"unknown":{"a":[1,{"b":null}]},
             "inputs":[{"data":[1,2,3],"parameters":{"content_type":null},"shape":[1,3],"datatype":"FP32","name":"x"}]}""");

    assertThat(RestTensors.outputs(answer)).containsExactly(floats("y", Shape.of(1, 3), 3, 5, 7));
  }

  @Test
  void tensorsInTheDocumentAndBehindItMayBeMixedInBothDirections() {
    byte[] json =
        """
        {"inputs":[{"name":"a","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}},
                   {"name":"b","shape":[2],"datatype":"FP32","data":[10,20]}],
         "outputs":[{"name":"difference"},{"name":"sum","parameters":{"binary_data":true}}]}"""
            .getBytes(UTF_8);

    Rest.Answer answer =
        rest.post("/v2/models/sum-and-difference/infer", with(json, 1, 2), Rest.JSON_LENGTH, "" + json.length);

    assertThat(answer.header("Content-Type")).isEqualTo("application/octet-stream");
    assertThat(answer.json().get("outputs").get(0).has("data")).isTrue();
    assertThat(answer.json().get("outputs").get(1).get("parameters").get("binary_data_size").asInt()).isEqualTo(8);
    assertThat(RestTensors.outputs(answer))
        .containsExactly(floats("difference", Shape.of(2), -9, -18), floats("sum", Shape.of(2), 11, 22));
  }

  @Test
  void anOutputsOwnWordAboutBinaryDataOverridesTheRequests() {
    Rest.Answer answer =
        rest.post(
            "/v2/models/sum-and-difference/infer",
            """
            {"parameters":{"binary_data_output":true},
             "inputs":[{"name":"a","shape":[1],"datatype":"FP32","data":[1]},{"name":"b","shape":[1],"datatype":"FP32","data":[1]}],
             "outputs":[{"name":"sum","parameters":{"binary_data":false}},{"name":"difference"}]}""");

    assertThat(answer.json().get("outputs").get(0).get("data").toString()).isEqualTo("[2.0]");
    assertThat(answer.json().get("outputs").get(1).has("data")).isFalse();
    assertThat(RestTensors.outputs(answer))
        .containsExactly(floats("sum", Shape.of(1), 2), floats("difference", Shape.of(1), 0));
  }

  @Test
  void whatIsNoNumberIsWrittenBareInBothDirections() {
    Rest.Answer answer =
        rest.post(
            "/v2/models/identity-FP64/infer",
            """
            {"inputs":[{"name":"x","shape":[4],"datatype":"FP64","data":[NaN,Infinity,-Infinity,1e-320]}]}""");

    assertThat(answer.text()).contains("\"data\":[NaN,Infinity,-Infinity,");
    assertThat(answer.json().get("outputs").get(0).get("data").get(3).doubleValue()).isEqualTo(1e-320);
  }

  @Test
  void stringsAreTextInTheDocumentAndBytesBehindIt() {
    Tensor texts = strings("x", Shape.of(3), "", "grüße", "a\0\"b");
    Tensor same = strings("y", Shape.of(3), "", "grüße", "a\0\"b");

    assertThat(RestTensors.outputs(RestTensors.inferJson(rest, "identity-BYTES", List.of(texts), List.of())))
        .containsExactly(same);
    assertThat(RestTensors.outputs(RestTensors.inferBinary(rest, "identity-BYTES", List.of(texts), List.of())))
        .containsExactly(same);
  }

  @Test
  void anOutputThatJsonCannotCarryIsRefusedWithTheWayOut() {
    byte[] json =
        "{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP16\",\"parameters\":{\"binary_data_size\":2}}]}"
            .getBytes(UTF_8);
    byte[] body = Arrays.copyOf(json, json.length + 2);

    Rest.Answer answer = rest.post("/v2/models/identity-FP16/infer", body, Rest.JSON_LENGTH, "" + json.length);

    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.error())
        .isEqualTo("sending FP16 data via JSON is not supported. Please use the binary data format for output 'y'");
  }

  /// Of one row where the model takes batches, and with a free dimension that the bytes tell.
  @Test
  void aBodyMayBeTheOneInputsBytesAlone() {
    Rest.Answer linear = rest.post(LINEAR, with(new byte[0], 1, 2, 3), Rest.JSON_LENGTH, "0");
    assertThat(linear.json().get("outputs").get(0).has("data")).isFalse();
    assertThat(RestTensors.outputs(linear)).containsExactly(floats("y", Shape.of(1, 3), 3, 5, 7));

    Rest.Answer row = rest.post("/v2/models/row/infer", with(new byte[0], 1, 2, 3, 4), Rest.JSON_LENGTH, "0");
    assertThat(RestTensors.outputs(row)).containsExactly(floats("y", Shape.of(1, 4), 1, 2, 3, 4));

    Rest.Answer text = rest.post("/v2/models/identity-BYTES/infer", "text", Rest.JSON_LENGTH, "0");
    assertThat(RestTensors.outputs(text)).containsExactly(strings("y", Shape.of(1), "text"));

    assertThat(rest.post("/v2/models/sum-and-difference/infer", "text", Rest.JSON_LENGTH, "0").error())
        .isEqualTo(
            "Raw request must only have 1 input (found 1) to be deduced but got 2 inputs in 'sum-and-difference' model configuration");
  }

  @Test
  void sixtyFourMegabytesGoThroughAsTheyAre() {
    int elements = 16 << 20;
    ByteBuffer bytes = ByteBuffer.allocate(elements * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < elements; i++) {
      bytes.putFloat(i * 4, i);
    }
    Tensor large = new Tensor("x", Datatype.FP32, Shape.of(elements), bytes);

    List<Tensor> outputs =
        RestTensors.outputs(RestTensors.inferBinary(rest, "identity-FP32", List.of(large), List.of()));

    assertThat(outputs.getFirst().bytes().mismatch(bytes)).isEqualTo(-1);
  }

  @Test
  void aMegabyteOfNumbersGoesThroughAsText() {
    float[] numbers = new float[300_000];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = i / 7f;
    }

    assertThat(
            RestTensors.outputs(
                RestTensors.inferJson(
                    rest, "identity-FP32", List.of(floats("x", Shape.of(numbers.length), numbers)), List.of())))
        .containsExactly(floats("y", Shape.of(numbers.length), numbers));
  }

  @Test
  void aBodyMayComeInChunksOfUnknownNumber() {
    byte[] body = request("[1,3]", "[1,2,3]").getBytes(UTF_8);

    Rest.Answer answer =
        rest.send("POST", LINEAR, BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body)));

    assertThat(RestTensors.outputs(answer)).containsExactly(floats("y", Shape.of(1, 3), 3, 5, 7));
  }

  @Test
  void bodiesMayBeCompressedInBothDirections() throws Exception {
    String row = "[" + "1,".repeat(2_999) + "1]";
    byte[] body = request("[1000,3]", row).getBytes(UTF_8);
    String plain = rest.post(LINEAR, body).text();

    Rest.Answer gzip =
        rest.post(LINEAR, gzip(body), "Content-Encoding", "gzip", "Accept-Encoding", "gzip, deflate;q=0.5");
    assertThat(gzip.header("Content-Encoding")).isEqualTo("gzip");
    assertThat(new String(new GZIPInputStream(in(gzip)).readAllBytes(), UTF_8)).isEqualTo(plain);

    Rest.Answer deflate = rest.post(LINEAR, deflate(body), "Content-Encoding", "deflate", "Accept-Encoding", "deflate");
    assertThat(deflate.header("Content-Encoding")).isEqualTo("deflate");
    assertThat(new String(new InflaterInputStream(in(deflate)).readAllBytes(), UTF_8)).isEqualTo(plain);
  }

  @Test
  void theJsonLengthIsThatBeforeCompression() throws Exception {
    byte[] json =
        """
        {"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":12}}]}"""
            .getBytes(UTF_8);

    Rest.Answer answer =
        rest.post(LINEAR, gzip(with(json, 1, 2, 3)), "Content-Encoding", "gzip", Rest.JSON_LENGTH, "" + json.length);

    assertThat(RestTensors.outputs(answer)).containsExactly(floats("y", Shape.of(1, 3), 3, 5, 7));
  }

  @Test
  void headersAndParametersSayWhoCallsAndTheAnswerSaysWhoAnswered() {
    gateway.create(
        note(
            "half",
            """
            compare: { y: exact }
            steps: [{ canary: 50%, until: { observations: 1000000, time: 1h } }]
            stopRules: [{ error-rate: { limit: 50% } }]
            blastRadius: { weight: 50% }
            """));
    Set<String> variants = new HashSet<>();
    for (int key = 0; key < 40; key++) {
      String byHeader = variant(one(""), "Sluice-Key", "k" + key);
      String byParameter = variant(one("\"parameters\":{\"sluice-key\":\"k" + key + "\"},"));
      String overridden =
          variant(one("\"parameters\":{\"sluice-key\":\"other\"},"), "sluice-key", "k" + key);
      assertThat(byParameter).isEqualTo(byHeader);
      assertThat(overridden).isEqualTo(byHeader);
      variants.add(byHeader);
    }
    assertThat(variants).containsExactlyInAnyOrder("baseline", "candidate");
  }

  private String variant(String body, String... headers) {
    Rest.Answer answer = rest.post("/v2/models/m/infer", body, headers);
    assertThat(answer.status()).as(answer.text()).isEqualTo(200);
    return answer.json().get("parameters").get("sluice_variant").asString();
  }

  private static String one(String parameters) {
    return "{" + parameters + "\"inputs\":[{\"name\":\"x\",\"shape\":[1,1],\"datatype\":\"FP32\",\"data\":[1]}]}";
  }

  // --- bodies ---------------------------------------------------------------------------------------------------------

  private static String request(String shape, String data) {
    return "{\"inputs\":[{\"name\":\"x\",\"shape\":%s,\"datatype\":\"FP32\",\"data\":%s}]}".formatted(shape, data);
  }

  private static byte[] with(byte[] json, float... values) {
    ByteBuffer body = ByteBuffer.allocate(json.length + values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    body.put(json);
    for (float value : values) {
      body.putFloat(value);
    }
    return body.array();
  }

  private static byte[] gzip(byte[] bytes) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (OutputStream gzip = new GZIPOutputStream(out)) {
      gzip.write(bytes);
    }
    return out.toByteArray();
  }

  private static byte[] deflate(byte[] bytes) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    try (OutputStream deflate = new DeflaterOutputStream(out)) {
      deflate.write(bytes);
    }
    return out.toByteArray();
  }

  private static ByteArrayInputStream in(Rest.Answer answer) {
    byte[] bytes = new byte[answer.bytes().remaining()];
    answer.bytes().duplicate().get(bytes);
    return new ByteArrayInputStream(bytes);
  }
}
