package dev.sluice.gateway.testing;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpHeaders;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.nio.ByteBuffer;
import java.time.Duration;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// A gateway's HTTP port, asked as any program would.
public final class Rest implements AutoCloseable {

  public static final String JSON_LENGTH = "Inference-Header-Content-Length";

  private static final JsonMapper JSON = JsonMapper.builder().enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS).build();
  private static final Duration TIMEOUT = Duration.ofSeconds(60);

  private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private final String origin;

  public Rest(int port) {
    this.origin = "http://127.0.0.1:" + port;
  }

  /// What came back.
  public record Answer(int status, HttpHeaders headers, String text, ByteBuffer bytes) {

    /// The whole body as JSON, or what precedes the binary data.
    public JsonNode json() {
      int length = headers.firstValue(JSON_LENGTH).map(Integer::parseInt).orElse(bytes.remaining());
      byte[] json = new byte[length];
      bytes.duplicate().get(json);
      return JSON.readTree(json);
    }

    public String error() {
      return json().path("error").asString("no error");
    }

    public String header(String name) {
      return headers.firstValue(name).orElse("");
    }
  }

  public Answer get(String path, String... headers) {
    return send("GET", path, BodyPublishers.noBody(), headers);
  }

  public Answer post(String path, String body, String... headers) {
    return post(path, body.getBytes(UTF_8), headers);
  }

  public Answer post(String path, byte[] body, String... headers) {
    return send("POST", path, BodyPublishers.ofByteArray(body), headers);
  }

  /// A refusal of a body that was not read to its end closes the connection, and the client may have taken it for its next
  /// request by then: HTTP has it ask again.
  private HttpResponse<byte[]> answer(HttpRequest request) throws IOException, InterruptedException {
    try {
      return client.send(request, BodyHandlers.ofByteArray());
    } catch (HttpTimeoutException e) {
      throw e;
    } catch (IOException e) {
      return client.send(request, BodyHandlers.ofByteArray());
    }
  }

  /// @param headers names and values in turn
  public Answer send(String method, String path, BodyPublisher body, String... headers) {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(origin + path)).method(method, body).timeout(TIMEOUT);
    if (headers.length > 0) {
      request.headers(headers);
    }
    try {
      HttpResponse<byte[]> response = answer(request.build());
      return new Answer(
          response.statusCode(),
          response.headers(),
          new String(response.body(), UTF_8),
          ByteBuffer.wrap(response.body()).asReadOnlyBuffer());
    } catch (IOException e) {
      throw new AssertionError(method + " " + path, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new AssertionError(e);
    }
  }

  @Override
  public void close() {
    client.shutdownNow();
  }
}
