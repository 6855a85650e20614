package dev.sluice.gateway.http;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.testing.Rest;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import java.net.http.HttpRequest.BodyPublishers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/// Every resource but inference answers in Triton's form.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class QuestionsTest {

  @SuppressWarnings("NullAway.Init") // before the first test
  private RunningGateway gateway;

  @SuppressWarnings("NullAway.Init") // before the first test
  private Rest rest;

  @BeforeAll
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.linear(2, 1, 3).writeTo(models, "linear", 1);
    new OnnxGraph()
        .input("a", Datatype.FP32, -1, 2)
        .node("Identity", List.of("a"), List.of("b"))
        .output("b", Datatype.FP32, -1, 2)
        .writeTo(models, "batched", 3);
    Files.writeString(
        models.resolve("batched/config.pbtxt"),
        "max_batch_size: 4\ndynamic_batching { max_queue_delay_microseconds: 100 }\n");
    OnnxGraph.write(models, "broken", 1, "not a model".getBytes(UTF_8));
    gateway = RunningGateway.start(models, folder.resolve("data"));
    rest = gateway.rest();
  }

  @AfterAll
  void stop() {
    gateway.close();
  }

  @Test
  void aServerThatLivesAndAModelThatIsReadySaySoInTheStatusAlone() {
    for (String path : List.of("/v2/health/live", "/v2/models/linear/ready", "/v2/models/linear/versions/1/ready")) {
      Rest.Answer answer = rest.get(path);
      assertThat(answer.status()).as(path).isEqualTo(200);
      assertThat(answer.text()).as(path).isEmpty();
    }
  }

  /// While a model that it was to serve cannot answer, the server is not ready.
  @Test
  void whatIsNotReadySaysSo() {
    Rest.Answer server = rest.get("/v2/health/ready");
    assertThat(server.status()).isEqualTo(400);
    assertThat(server.text()).isEmpty();

    Rest.Answer answer = rest.get("/v2/models/broken/ready");

    assertThat(answer.status()).isEqualTo(400);
    assertThat(answer.text()).isEqualTo("{\"error\":\"Model version not ready\"}");
  }

  @Test
  void theServersMetadata() {
    Rest.Answer answer = rest.get("/v2");

    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.header("Content-Type")).isEqualTo("application/json");
    assertThat(answer.json().get("name").asString()).isEqualTo("sluice");
    assertThat(answer.json().get("extensions").toString()).contains("\"binary_tensor_data\"");
  }

  @Test
  void aModelsMetadata() {
    assertThat(rest.get("/v2/models/linear").text())
        .isEqualTo(
            "{\"name\":\"linear\",\"versions\":[\"1\"],\"platform\":\"onnxruntime_onnx\","
                + "\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,3]}],"
                + "\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[-1,3]}]}");
    assertThat(rest.get("/v2/models/linear/versions/1").text()).isEqualTo(rest.get("/v2/models/linear").text());
  }

  @Test
  void aConfigurationHasNumbersForNumbersAndNamesForEnums() {
    Rest.Answer answer = rest.get("/v2/models/batched/config");

    assertThat(answer.status()).isEqualTo(200);
    assertThat(answer.json().get("name").asString()).isEqualTo("batched");
    assertThat(answer.json().get("max_batch_size").intValue()).isEqualTo(4);
    assertThat(answer.json().get("input").get(0).get("data_type").asString()).isEqualTo("TYPE_FP32");
    assertThat(answer.json().get("input").get(0).get("dims").toString()).isEqualTo("[2]");
    assertThat(answer.json().get("input").get(0).get("format").asString()).isEqualTo("FORMAT_NONE");
    assertThat(answer.json().get("dynamic_batching").get("max_queue_delay_microseconds").isIntegralNumber()).isTrue();
    assertThat(answer.json().has("sequence_batching")).as("what is not set").isFalse();
    assertThat(answer.json().get("model_warmup").isArray()).as("an empty list").isTrue();
    assertThat(answer.json().get("parameters").isObject()).as("an empty map").isTrue();
  }

  @Test
  void theIndexNamesEveryVersionWithItsStateAndReason() {
    Rest.Answer all = rest.post("/v2/repository/index", "");

    assertThat(all.status()).isEqualTo(200);
    assertThat(all.text())
        .contains(
            "{\"name\":\"batched\",\"version\":\"3\",\"state\":\"READY\"}",
            "{\"name\":\"broken\",\"version\":\"1\",\"state\":\"UNAVAILABLE\",\"reason\":\"");
    assertThat(rest.post("/v2/repository/index", "{\"ready\":true}").text())
        .isEqualTo(
            "[{\"name\":\"batched\",\"version\":\"3\",\"state\":\"READY\"},"
                + "{\"name\":\"linear\",\"version\":\"1\",\"state\":\"READY\"}]");
    assertThat(rest.post("/v2/repository/index", "{\"ready\":1}").error()).isEqualTo("ready: 1 is not true or false");
    assertThat(rest.post("/v2/repository/elsewhere/index", "").status()).isEqualTo(501);
  }

  @Test
  void traceSettingsCanBeReadAndClearedButNotSet() {
    String settings =
        "{\"trace_level\":[\"OFF\"],\"trace_rate\":\"1000\",\"trace_count\":\"-1\",\"log_frequency\":\"0\","
            + "\"trace_file\":\"\",\"trace_mode\":\"triton\"}";

    assertThat(rest.get("/v2/trace/setting").text()).isEqualTo(settings);
    assertThat(rest.get("/v2/models/linear/trace/setting").text()).isEqualTo(settings);
    assertThat(rest.post("/v2/trace/setting", "{\"trace_rate\":null}").text()).isEqualTo(settings);
    assertThat(rest.post("/v2/trace/setting", "{\"trace_level\":[\"TIMESTAMPS\"]}").status()).isEqualTo(501);
    assertThat(rest.post("/v2/trace/setting", "{\"trace_rate\":5}").error()).isEqualTo("trace_rate: 5 is not a string");
    assertThat(rest.get("/v2/models/nosuch/trace/setting").status()).isEqualTo(404);
  }

  @Test
  void logSettingsCanBeReadAndSet() {
    Rest.Answer before = rest.get("/v2/logging");
    assertThat(before.json().propertyNames())
        .containsExactly("log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format");
    boolean info = before.json().get("log_info").booleanValue();
    try {
      assertThat(rest.post("/v2/logging", "{\"log_info\":%s}".formatted(!info)).json().get("log_info").booleanValue())
          .isEqualTo(!info);
    } finally {
      rest.post("/v2/logging", "{\"log_info\":%s}".formatted(info));
    }
    assertThat(rest.post("/v2/logging", "{\"log_verbose_level\":-1}").error())
        .isEqualTo("log_verbose_level: -1 is not an unsigned integer of 32 bits");
    assertThat(rest.post("/v2/logging", "{\"log_file\":\"/tmp/x\"}").status()).isEqualTo(501);
    assertThat(rest.post("/v2/logging", "[]").error()).isEqualTo("the request: an array is not an object");
  }

  @ParameterizedTest
  @ValueSource(strings = {"system", "cuda"})
  void thereIsNoSharedMemoryAndNoneCanBeHad(String kind) {
    assertThat(rest.get("/v2/" + kind + "sharedmemory/status").text()).isEqualTo("[]");
    assertThat(rest.get("/v2/" + kind + "sharedmemory/region/r/status").status()).isEqualTo(404);
    Rest.Answer registered = rest.post("/v2/" + kind + "sharedmemory/region/r/register", "{\"key\":\"/r\",\"byte_size\":64}");
    assertThat(registered.status()).isEqualTo(501);
    assertThat(registered.error()).startsWith("Client shared memory is disabled.");
    assertThat(rest.post("/v2/" + kind + "sharedmemory/unregister", "").status()).isEqualTo(200);
  }

  @Test
  void anUnknownModelIsUnknownEverywhere() {
    for (String path : List.of("", "/ready", "/config", "/versions/1", "/versions/1/ready", "/versions/1/config")) {
      Rest.Answer answer = rest.get("/v2/models/nosuch" + path);
      assertThat(answer.status()).as(path).isEqualTo(404);
      assertThat(answer.error()).as(path).contains("'nosuch'");
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/", "/v1", "/v2/", "/v3", "/v2/health", "/v2/health/well", "/v2/models", "/v2/models/", "/v2/models/m/",
        "/v2/models/m/versions", "/v2/models/m/versions/1/trace/setting", "/v2/models/m/guess", "/v2/models/m/infer/1",
        "/v2/repository", "/v2/repository/models/m", "/v2/repository/models/m/reload", "/v2/trace", "/v2/logging/x",
        "/v2/systemsharedmemory", "/v2/systemsharedmemory/region/status", "/v2/models/%2e%2e%2finfer", "/favicon.ico"
      })
  void aPathThatLeadsNowhereIsNotFound(String path) {
    Rest.Answer answer = rest.get(path);

    assertThat(answer.status()).isIn(404, 400); // 400 for a path that could mean two things
    assertThat(answer.header("Content-Type")).isEqualTo("application/json");
    assertThat(answer.error()).isNotEqualTo("no error");
  }

  @ParameterizedTest
  @CsvSource({
    "GET, /v2/models/linear/infer, POST", "POST, /v2/models/linear, 'GET, HEAD'", "DELETE, /v2/models/linear, 'GET, HEAD'",
    "POST, /v2/health/live, 'GET, HEAD'", "GET, /v2/repository/index, POST", "PUT, /v2/logging, 'GET, HEAD, POST'",
    "GET, /v2/repository/models/linear/load, POST"
  })
  void aMethodThatTheResourceDoesNotKnowIsRefusedWithThoseThatItKnows(String method, String path, String allowed) {
    Rest.Answer answer = rest.send(method, path, BodyPublishers.noBody());

    assertThat(answer.status()).isEqualTo(405);
    assertThat(answer.error()).isEqualTo("Method Not Allowed");
    assertThat(answer.header("Allow")).isEqualTo(allowed);
  }

  @Test
  void aHeadHasTheHeadersOfTheGet() {
    Rest.Answer head = rest.send("HEAD", "/v2/models/linear", BodyPublishers.noBody());

    assertThat(head.status()).isEqualTo(200);
    assertThat(head.text()).isEmpty();
    assertThat(head.header("Content-Length")).isEqualTo("" + rest.get("/v2/models/linear").bytes().remaining());
  }

  @Test
  void aQueryInThePathIsPassedOver() {
    assertThat(rest.get("/v2/models/linear?test_1=1&test_2=2").status()).isEqualTo(200);
  }
}
