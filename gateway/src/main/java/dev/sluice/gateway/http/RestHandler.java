package dev.sluice.gateway.http;

import dev.sluice.gateway.admission.ByteBudget;
import dev.sluice.gateway.inference.Inference;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.ModelInferResponse;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.util.Callback;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Every request of the HTTP face: its path finds the resource, its body is read, the shared core answers.
final class RestHandler extends Handler.Abstract {

  private static final Logger log = LoggerFactory.getLogger(RestHandler.class);

  private static final String JSON_LENGTH_HEADER = "Inference-Header-Content-Length";
  private static final String OCTETS = "application/octet-stream";

  /// Writing more than this as text, or compressing it, takes longer than the model's thread should be kept for.
  private static final int WRITTEN_AT_ONCE_BYTES_MAX = 1 << 16;

  private final Inference inference;
  private final Questions questions;
  private final Executor slow;
  private final int bytesMax;
  private final ByteBudget budget;

  RestHandler(Inference inference, Questions questions, Executor slow, int bytesMax, ByteBudget budget) {
    this.inference = inference;
    this.questions = questions;
    this.slow = slow;
    this.bytesMax = bytesMax;
    this.budget = budget;
  }

  @Override
  public boolean handle(Request request, Response response, Callback callback) {
    Exchange exchange = new Exchange(request, response, callback);
    String path = request.getHttpURI().getDecodedPath();
    Resource resource = path == null ? null : Resource.at(path);
    if (resource == null) {
      exchange.refuse(HttpStatuses.NOT_FOUND, "Not Found");
      return true;
    }
    String method = request.getMethod();
    if (!resource.methods().contains(method)) {
      response.getHeaders().put(HttpHeader.ALLOW, String.join(", ", resource.methods()));
      exchange.refuse(HttpStatuses.METHOD_NOT_ALLOWED, "Method Not Allowed");
      return true;
    }
    if (!method.equals("POST")) {
      answer(exchange, resource, null);
      return true;
    }
    readBody(exchange, resource);
    return true;
  }

  private void readBody(Exchange exchange, Resource resource) {
    Request request = exchange.request();
    if (request.getLength() > bytesMax) {
      exchange.refuseAndClose(HttpStatuses.CONTENT_TOO_LARGE, RequestBody.tooLarge(bytesMax));
      return;
    }
    ByteBudget.Share share = budget.share();
    Request.addCompletionListener(request, _ -> share.giveBack());
    new RequestBody(
            request,
            request.getLength(),
            bytesMax,
            share,
            new RequestBody.Receiver() {
              @Override
              public void received(RequestBody.Bytes bytes) {
                Body body = new Body(bytes, share);
                if (resource.isSlow()) {
                  answerElsewhere(exchange, resource, body);
                } else {
                  answer(exchange, resource, body);
                }
              }

              @Override
              public void refused(int status, String sentence) {
                exchange.refuseAndClose(status, sentence);
              }

              @Override
              public void broken(Throwable cause) {
                exchange.abandon(cause);
              }
            })
        .run();
  }

  /// What came with a request, and what it takes of the budget.
  private record Body(RequestBody.Bytes bytes, ByteBudget.Share share) {}

  // --- answers --------------------------------------------------------------------------------------------------------

  /// A model's load would keep this thread, which has other connections waiting.
  private void answerElsewhere(Exchange exchange, Resource resource, Body body) {
    exchange.request().addIdleTimeoutListener(_ -> false); // a load may take its time
    try {
      slow.execute(() -> answer(exchange, resource, body));
    } catch (RejectedExecutionException e) {
      exchange.refuse(
          HttpStatuses.SERVICE_UNAVAILABLE, "as many requests about the repository wait already as may; try again");
    }
  }

  private void answer(Exchange exchange, Resource resource, @Nullable Body body) {
    try {
      if (resource instanceof Resource.Infer infer && body != null) {
        infer(exchange, infer, body);
      } else {
        questions.answer(exchange, resource, body == null ? null : body.bytes());
      }
    } catch (InferenceFailure failure) {
      exchange.refuse(failure);
    } catch (RuntimeException | Error e) {
      log.error("a request for {} failed in the gateway itself", resource, e);
      exchange.refuse(HttpStatuses.INTERNAL_ERROR, "the gateway failed on this request: " + e);
    }
  }

  // --- inference ------------------------------------------------------------------------------------------------------

  private void infer(Exchange exchange, Resource.Infer infer, Body body) throws InferenceFailure {
    InferCall call;
    try {
      RequestBody.Bytes plain = plain(exchange, body);
      if (plain == null) {
        return;
      }
      String header = exchange.request().getHeaders().get(JSON_LENGTH_HEADER);
      int jsonLength = jsonLength(header, plain.length());
      boolean raw = header != null && jsonLength == 0;
      call =
          raw
              ? RawRequest.read(
                  questions.configuration(infer.model(), infer.version()), infer.model(), infer.version(), plain)
              : InferRequestReader.read(
                  infer.model(), infer.version(), plain.array(), plain.length(), jsonLength, bytesMax);
    } catch (InferenceFailure failure) {
      inference.refused(failure);
      throw failure;
    }
    HttpLifetime lifetime = new HttpLifetime();
    HttpReply reply = new HttpReply(exchange, call);
    exchange.request().addIdleTimeoutListener(_ -> false); // a model may take its time
    inference.infer(
        call.request(), new HttpCaller(exchange.request().getHeaders(), call.request()), lifetime, reply);
    if (!reply.answering) {
      exchange.watch(lifetime::end);
    }
  }

  /// The body as it was before it was compressed; null if the request was refused.
  private RequestBody.@Nullable Bytes plain(Exchange exchange, Body body) throws InferenceFailure {
    String encoding = exchange.request().getHeaders().get(HttpHeader.CONTENT_ENCODING);
    Compression compression = Compression.named(encoding);
    if (compression == null) {
      exchange.response().getHeaders().put(HttpHeader.ACCEPT_ENCODING, "gzip, deflate");
      exchange.refuse(
          HttpStatuses.NOT_IMPLEMENTED,
          "Unsupported compression type '%s': gzip and deflate are".formatted(Json.clipped("" + encoding, 40)));
      return null;
    }
    try {
      return compression.decompressed(body.bytes(), bytesMax, body.share());
    } catch (Blocks.FullException e) {
      exchange.refuse(HttpStatuses.CONTENT_TOO_LARGE, RequestBody.tooLarge(bytesMax));
      return null;
    } catch (ByteBudget.SpentException e) {
      exchange.refuse(HttpStatuses.SERVICE_UNAVAILABLE, String.valueOf(e.getMessage()));
      return null;
    }
  }

  private static int jsonLength(@Nullable String header, int bodyLength) throws InferenceFailure {
    if (header == null) {
      return bodyLength;
    }
    long length;
    try {
      length = Long.parseLong(header.strip());
    } catch (NumberFormatException e) {
      throw InferenceFailure.invalid(
          "Unable to parse %s, got: %s".formatted(JSON_LENGTH_HEADER, Json.clipped(header, 40)));
    }
    if (length < 0 || length > bodyLength) {
      throw InferenceFailure.invalid(
          "inference header size should be in range (0, %d), got: %d".formatted(bodyLength, length));
    }
    return (int) length;
  }

  /// An answer goes out in the form that the request asked for.
  private final class HttpReply implements Inference.Reply {
    private final Exchange exchange;
    private final InferCall call;
    private volatile boolean answering;

    HttpReply(Exchange exchange, InferCall call) {
      this.exchange = exchange;
      this.call = call;
    }

    @Override
    public void send(ModelInferResponse response) {
      answering = true;
      Compression compression =
          Compression.preferred(exchange.request().getHeaders().get(HttpHeader.ACCEPT_ENCODING));
      if (isQuick(response, compression)) {
        write(response, compression);
      } else {
        // On a thread of the server's: this one is the model's.
        try {
          getServer().getThreadPool().execute(() -> write(response, compression));
        } catch (RejectedExecutionException e) {
          exchange.abandon(e); // the server has stopped meanwhile
        }
      }
    }

    private boolean isQuick(ModelInferResponse response, Compression compression) {
      long textBytes = 0;
      for (int i = 0; i < response.getOutputsCount(); i++) {
        if (compression != Compression.IDENTITY || !call.binary(response.getOutputs(i).getName())) {
          textBytes += response.getRawOutputContents(i).size();
        }
      }
      return textBytes <= WRITTEN_AT_ONCE_BYTES_MAX;
    }

    private void write(ModelInferResponse response, Compression compression) {
      try {
        InferResponseWriter.Body body = InferResponseWriter.write(response, call, bytesMax);
        List<ByteBuffer> buffers = body.buffers();
        long size = body.size();
        if (compression != Compression.IDENTITY && size >= Compression.BYTES_MIN) {
          Blocks compressed = compression.compressed(buffers, bytesMax);
          buffers = compressed.buffers();
          size = compressed.size();
          exchange.response().getHeaders().put(HttpHeader.CONTENT_ENCODING, compression.header());
        }
        if (body.jsonLength() >= 0) {
          exchange.response().getHeaders().put(JSON_LENGTH_HEADER, body.jsonLength());
        }
        exchange.send(HttpStatuses.OK, body.jsonLength() >= 0 ? OCTETS : Exchange.JSON, buffers, size);
      } catch (InferenceFailure failure) {
        fail(failure);
      } catch (RuntimeException | Error e) {
        exchange.refuse(HttpStatuses.INTERNAL_ERROR, "the answer could not be written: " + e);
      }
    }

    @Override
    public void fail(InferenceFailure failure) {
      answering = true;
      exchange.refuse(failure);
    }
  }
}
