package dev.sluice.gateway.demo;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.sluice.loadtest.client.CallObserver;
import dev.sluice.proto.inference.ModelInferResponse;
import io.grpc.Status;
import java.util.concurrent.atomic.LongAdder;
import org.jspecify.annotations.Nullable;

/// What the callers of the demo saw: counted from their responses, not from what the gateway says of itself.
final class CallerView implements CallObserver {

  private static final String BAD_VERSION = "3";

  private final LongAdder answered = new LongAdder();
  private final LongAdder errors = new LongAdder();
  private final LongAdder fallbacks = new LongAdder();
  private final LongAdder answeredByBad = new LongAdder();
  private final LongAdder answeredByBadAfterStop = new LongAdder();
  private volatile String firstError = "";

  /// When the demo learned of the stop, by `System.nanoTime`; [Long#MAX_VALUE] before.
  private volatile long stopSeenNanos = Long.MAX_VALUE;

  /// Another release begins: the bad version may answer again until it is stopped again.
  void releaseBegins() {
    stopSeenNanos = Long.MAX_VALUE;
  }

  void stopSeen() {
    stopSeenNanos = System.nanoTime();
  }

  @Override
  public void ended(long n, Status status, byte @Nullable [] response, long latencyNanos) {
    if (!status.isOk() || response == null) {
      errors.increment();
      if (firstError.isEmpty()) {
        firstError = status.toString();
      }
      return;
    }
    answered.increment();
    try {
      ModelInferResponse parsed = ModelInferResponse.parseFrom(response);
      if (parsed.containsParameters("sluice_fallback")) {
        fallbacks.increment();
      }
      if (parsed.getModelVersion().equals(BAD_VERSION)) {
        answeredByBad.increment();
        long sentNanos = System.nanoTime() - latencyNanos;
        if (stopSeenNanos != Long.MAX_VALUE && sentNanos - stopSeenNanos > 0) {
          answeredByBadAfterStop.increment();
        }
      }
    } catch (InvalidProtocolBufferException e) {
      errors.increment();
    }
  }

  long answered() {
    return answered.sum();
  }

  long errors() {
    return errors.sum();
  }

  String firstError() {
    return firstError;
  }

  long fallbacks() {
    return fallbacks.sum();
  }

  long answeredByBad() {
    return answeredByBad.sum();
  }

  long answeredByBadAfterStop() {
    return answeredByBadAfterStop.sum();
  }
}
