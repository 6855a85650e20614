package dev.sluice.gateway.http;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.config.ModelControl;
import dev.sluice.gateway.testing.Rest;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.runtime.testing.OnnxModels;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// Models loaded, unloaded and counted over HTTP, in a server that leaves it to its clients.
class RepositoryControlTest {

  private static final String BODY =
      "{\"inputs\":[{\"name\":\"x\",\"shape\":[2,3],\"datatype\":\"FP32\",\"data\":[1,2,3,4,5,6]}]}";

  @SuppressWarnings("NullAway.Init") // before each test
  private RunningGateway gateway;

  @SuppressWarnings("NullAway.Init") // before each test
  private Rest rest;

  @BeforeEach
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.linear(2, 1, 3).writeTo(models, "linear", 1);
    gateway =
        RunningGateway.start(
            GatewayConfig.onFreePorts(models, folder.resolve("data")).with(ModelControl.explicit()));
    rest = gateway.rest();
  }

  @AfterEach
  void stop() {
    gateway.close();
  }

  @Test
  void aModelComesAndGoesAsItIsAskedTo() {
    assertThat(rest.post("/v2/repository/index", "{}").text()).isEqualTo("[{\"name\":\"linear\"}]");
    assertThat(rest.get("/v2/models/linear/ready").status()).isEqualTo(400);

    Rest.Answer loaded = rest.post("/v2/repository/models/linear/load", "");
    assertThat(loaded.status()).as(loaded.text()).isEqualTo(200);
    assertThat(loaded.text()).isEmpty();
    assertThat(rest.get("/v2/models/linear/ready").status()).isEqualTo(200);
    assertThat(rest.post("/v2/models/linear/infer", BODY).status()).isEqualTo(200);

    Rest.Answer unloaded =
        rest.post("/v2/repository/models/linear/unload", "{\"parameters\":{\"unload_dependents\":true}}");
    assertThat(unloaded.status()).as(unloaded.text()).isEqualTo(200);
    assertThat(rest.get("/v2/models/linear/ready").status()).isEqualTo(400);
    assertThat(rest.post("/v2/models/linear/infer", BODY).status()).isIn(404, 503);
  }

  @Test
  void aLoadMayBringItsConfigurationAlong() {
    String config = "{\\\"max_batch_size\\\": \\\"16\\\"}";

    Rest.Answer loaded =
        rest.post("/v2/repository/models/linear/load", "{\"parameters\":{\"config\":\"" + config + "\"}}");

    assertThat(loaded.status()).as(loaded.text()).isEqualTo(200);
    assertThat(rest.get("/v2/models/linear/config").json().get("max_batch_size").intValue()).isEqualTo(16);
  }

  @Test
  void aLoadThatFailsSaysWhyAndChangesNothing() {
    Rest.Answer unknown = rest.post("/v2/repository/models/nosuch/load", "");
    assertThat(unknown.status()).isEqualTo(500);
    assertThat(unknown.error()).contains("failed to load 'nosuch'");

    Rest.Answer nonsense =
        rest.post("/v2/repository/models/linear/load", "{\"parameters\":{\"config\":\"no configuration\"}}");
    assertThat(nonsense.status()).isEqualTo(400);
    assertThat(nonsense.error()).contains("failed to load 'linear'");

    Rest.Answer number = rest.post("/v2/repository/models/linear/load", "{\"parameters\":{\"config\":7}}");
    assertThat(number.status()).isEqualTo(400);
    assertThat(number.error()).isEqualTo("parameters.config: 7 is not a string or a boolean");

    assertThat(rest.post("/v2/repository/models/linear/load", "no JSON").status()).isEqualTo(400);
    assertThat(rest.post("/v2/repository/elsewhere/models/linear/load", "").status()).isEqualTo(501);
    assertThat(rest.get("/v2/models/linear/ready").status()).isEqualTo(400);
  }

  @Test
  void statisticsCountWhatWasAnswered() {
    rest.post("/v2/repository/models/linear/load", "");
    rest.post("/v2/models/linear/infer", BODY);

    Rest.Answer answer = rest.get("/v2/models/linear/versions/1/stats");

    assertThat(answer.status()).isEqualTo(200);
    JsonNode statistics = answer.json().get("model_stats").get(0);
    assertThat(statistics.get("version").asString()).isEqualTo("1");
    assertThat(statistics.get("inference_count").isIntegralNumber()).isTrue();
    assertThat(statistics.get("inference_count").longValue()).as("rows").isEqualTo(2);
    assertThat(statistics.get("inference_stats").get("success").get("count").longValue()).isOne();
    assertThat(statistics.get("inference_stats").get("fail").get("ns").longValue()).as("even what never was").isZero();
    assertThat(rest.get("/v2/models/stats").json().get("model_stats").size()).isOne();
    assertThat(rest.get("/v2/models/linear/stats").json().get("model_stats").size()).isOne();
  }
}
