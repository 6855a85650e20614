package dev.sluice.gateway.http;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.sluice.gateway.routing.InferenceFailure;
import java.nio.ByteBuffer;
import java.util.List;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.util.Callback;
import org.eclipse.jetty.util.IteratingNestedCallback;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;

/// One request and the one response to it.
final class Exchange {

  static final String JSON = "application/json";

  /// A sentence may show what a caller sent.
  private static final int SENTENCE_CHARS_MAX = 4096;

  private final Request request;
  private final Response response;
  private final Callback callback;

  Exchange(Request request, Response response, Callback callback) {
    this.request = request;
    this.response = response;
    this.callback = callback;
  }

  Request request() {
    return request;
  }

  Response response() {
    return response;
  }

  /// Runs `gone` if the caller leaves before the response. Meanwhile the connection may idle as long as the answer takes.
  void watch(Runnable gone) {
    if (request.getConnectionMetaData().getConnection().getEndPoint() instanceof WatchedEndPoint endPoint) {
      endPoint.watch(gone);
    }
  }

  /// Without a body.
  void empty(int status) {
    response.setStatus(status);
    response.getHeaders().put(HttpHeader.CONTENT_LENGTH, 0);
    response.write(true, null, callback);
  }

  void json(int status, List<ByteBuffer> buffers, long size) {
    send(status, JSON, buffers, size);
  }

  void send(int status, String contentType, List<ByteBuffer> buffers, long size) {
    response.setStatus(status);
    response.getHeaders().put(HttpHeader.CONTENT_TYPE, contentType);
    response.getHeaders().put(HttpHeader.CONTENT_LENGTH, size);
    if (buffers.size() == 1) {
      response.write(true, buffers.getFirst(), callback);
    } else {
      new InTurn(buffers, response, callback).iterate();
    }
  }

  void refuse(InferenceFailure failure) {
    if (failure.retryNanos() > 0) {
      // Whole seconds are all that HTTP knows.
      response.getHeaders().put(HttpHeader.RETRY_AFTER, Math.max(1, Math.ceilDiv(failure.retryNanos(), 1_000_000_000L)));
    }
    refuse(HttpStatuses.of(failure.kind()), failure.sentence());
  }

  void refuse(int status, String sentence) {
    ByteBuffer body = error(sentence);
    json(status, List.of(body), body.remaining());
  }

  /// Where what follows on the connection is not read any more.
  void refuseAndClose(int status, String sentence) {
    response.getHeaders().put(HttpHeader.CONNECTION, "close");
    refuse(status, sentence);
  }

  /// There is nobody to answer to.
  void abandon(Throwable cause) {
    callback.failed(cause);
  }

  /// `{"error": "..."}`, the body of everything that is no answer.
  static ByteBuffer error(String sentence) {
    Blocks blocks = new Blocks(Integer.MAX_VALUE);
    try (JsonGenerator json = Json.FACTORY.createGenerator(ObjectWriteContext.empty(), blocks)) {
      json.writeStartObject();
      // A lone surrogate, which JSON's text may name and UTF-8 cannot carry, would fail the answer itself.
      String text = new String(Json.clipped(sentence, SENTENCE_CHARS_MAX).getBytes(UTF_8), UTF_8);
      json.writeStringProperty("error", text);
      json.writeEndObject();
    }
    return blocks.joined();
  }

  /// Writes one buffer after another.
  private static final class InTurn extends IteratingNestedCallback {
    private final List<ByteBuffer> buffers;
    private final Response response;
    private int next;

    InTurn(List<ByteBuffer> buffers, Response response, Callback callback) {
      super(callback);
      this.buffers = buffers;
      this.response = response;
    }

    @Override
    protected Action process() {
      if (next == buffers.size()) {
        return Action.SUCCEEDED;
      }
      ByteBuffer buffer = buffers.get(next++);
      response.write(next == buffers.size(), buffer, this);
      return Action.SCHEDULED;
    }
  }
}
