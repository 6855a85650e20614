package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelStreamInferResponse;
import io.grpc.Context;
import io.grpc.Context.CancellableContext;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.ArrayDeque;
import java.util.Deque;
import org.jspecify.annotations.Nullable;

/// One `ModelStreamInfer` call: requests run side by side, their answers leave in the order of the requests.
///
/// A request holds a place from its arrival until its answer is handed to the connection. Places are bounded in number and in
/// bytes, and none is given out while the caller does not take what was sent: until one is free, nothing is read, and HTTP/2's
/// flow control holds the caller back. An answer that is an error leaves like any other, and the stream goes on, unless the
/// caller asked for the first one to end it.
final class InferStream implements StreamObserver<ModelInferRequest>, OpenStreams.Ending {

  static final int PLACES = 64;

  /// One request larger than this is still read, alone.
  static final long BYTES_MAX = 64L << 20;

  /// Metadata with which a caller asks for an error to end the stream, with its status.
  static final String ERROR_ENDS = "triton_grpc_error";

  private static final InferParameter FINAL = InferParameter.newBuilder().setBoolParam(true).build();

  private final Inference inference;
  private final ServerCallStreamObserver<ModelStreamInferResponse> out;
  private final OpenStreams openStreams;
  private final boolean errorEnds;
  private final CancellableContext context = Context.current().withCancellation();

  // All guarded by this object, which is held for as long as it takes to hand messages to the connection.
  private final Deque<Place> places = new ArrayDeque<>();
  private long bytes;
  private boolean reading;
  private boolean halfClosed;
  private boolean ending;
  private boolean closed;

  private InferStream(
      Inference inference, ServerCallStreamObserver<ModelStreamInferResponse> out, OpenStreams openStreams) {
    this.inference = inference;
    this.out = out;
    this.openStreams = openStreams;
    this.errorEnds = "true".equals(Caller.header(ERROR_ENDS));
  }

  /// Within the call's handler, as gRPC asks for.
  static InferStream open(
      Inference inference, StreamObserver<ModelStreamInferResponse> responses, OpenStreams openStreams) {
    var out = (ServerCallStreamObserver<ModelStreamInferResponse>) responses;
    InferStream stream = new InferStream(inference, out, openStreams);
    out.disableAutoRequest();
    out.setOnReadyHandler(stream::proceed);
    out.setOnCancelHandler(stream::cancelled);
    openStreams.add(stream);
    return stream;
  }

  // --- what the caller does -------------------------------------------------------------------------------------------

  @Override
  public void onNext(ModelInferRequest request) {
    Place place = new Place(request);
    synchronized (this) {
      reading = false;
      if (closed) {
        return;
      }
      places.add(place);
      bytes += place.bytes;
    }
    proceed();
    inference.infer(request, Caller.of(request), new GrpcLifetime(context), place);
  }

  @Override
  public void onCompleted() {
    synchronized (this) {
      halfClosed = true;
    }
    proceed();
  }

  @Override
  public void onError(Throwable gone) {
    cancelled();
  }

  private void cancelled() {
    synchronized (this) {
      close();
    }
    context.cancel(null);
  }

  // --- what the server does -------------------------------------------------------------------------------------------

  /// What is in flight is still answered; nothing more is read.
  @Override
  public void end() {
    synchronized (this) {
      ending = true;
    }
    proceed();
  }

  /// Sends what is due, ends the stream if nothing is left to do, and reads on if there is room.
  ///
  /// Outside the lock, because reading may bring the next request on this very thread.
  private void proceed() {
    boolean read;
    boolean over;
    synchronized (this) {
      sendDue();
      endIfDone();
      over = closed;
      read = !closed && !reading && !halfClosed && !ending && hasRoom();
      reading |= read;
    }
    if (read) {
      out.request(1);
    }
    if (over) {
      context.cancel(null);
    }
  }

  private boolean hasRoom() {
    return places.size() < PLACES && bytes < BYTES_MAX && out.isReady();
  }

  private void sendDue() {
    Place first = places.peek();
    while (!closed && first != null && first.answer != null) {
      // Gone before it is sent: sending may call back.
      places.remove();
      bytes -= first.bytes;
      InferenceFailure failure = first.failure;
      if (failure != null && errorEnds) {
        close();
        out.onError(Statuses.of(failure, first.request));
      } else {
        out.onNext(first.answer);
      }
      first = places.peek();
    }
  }

  private void endIfDone() {
    if (closed || !places.isEmpty()) {
      return;
    }
    if (halfClosed) {
      close();
      out.onCompleted();
    } else if (ending) {
      close();
      out.onError(Statuses.of(Inference.shuttingDown()));
    }
  }

  private void close() {
    closed = true;
    places.clear();
    openStreams.remove(this);
  }

  /// One request until its answer has left.
  private final class Place implements Inference.Reply {
    private final ModelInferRequest request;
    private final long bytes;
    private @Nullable ModelStreamInferResponse answer; // guarded by the stream, as is the next one
    private @Nullable InferenceFailure failure;

    Place(ModelInferRequest request) {
      this.request = request;
      this.bytes = request.getSerializedSize();
    }

    @Override
    public void send(ModelInferResponse response) {
      answered(
          ModelStreamInferResponse.newBuilder()
              .setInferResponse(response.toBuilder().putParameters("triton_final_response", FINAL))
              .build(),
          null);
    }

    @Override
    public void fail(InferenceFailure failure) {
      answered(
          ModelStreamInferResponse.newBuilder()
              .setErrorMessage(failure.sentence())
              .setInferResponse(
                  ModelInferResponse.newBuilder()
                      .setId(request.getId())
                      .setModelName(request.getModelName())
                      .setModelVersion(request.getModelVersion())
                      .putParameters("triton_final_response", FINAL))
              .build(),
          failure);
    }

    private void answered(ModelStreamInferResponse answer, @Nullable InferenceFailure failure) {
      synchronized (InferStream.this) {
        this.answer = answer;
        this.failure = failure;
      }
      proceed();
    }
  }
}
