package dev.sluice.gateway.testing;

import static org.awaitility.Awaitility.await;

import dev.sluice.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.LongFunction;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/// Callers that ask one request after the other until they are told to stop, and keep account of what they get.
public final class Traffic implements AutoCloseable {

  private static final int FAILURES_KEPT_MAX = 20;

  private final GRPCInferenceServiceBlockingStub stub;
  private final @Nullable Duration deadline;
  private final LongFunction<ModelInferRequest> requests;
  private final ToDoubleFunction<ModelInferRequest> expected;
  private final AtomicLong asked = new AtomicLong();
  private final LongAdder answered = new LongAdder();
  private final LongAdder failed = new LongAdder();
  private final Map<String, LongAdder> variants = new ConcurrentHashMap<>();
  private final Map<String, LongAdder> fallbacks = new ConcurrentHashMap<>();
  private final ConcurrentLinkedQueue<String> failures = new ConcurrentLinkedQueue<>();
  private final List<Thread> callers = new ArrayList<>();
  private volatile boolean stopped;

  private Traffic(
      GRPCInferenceServiceBlockingStub stub,
      @Nullable Duration deadline,
      LongFunction<ModelInferRequest> requests,
      ToDoubleFunction<ModelInferRequest> expected) {
    this.stub = stub;
    this.deadline = deadline;
    this.requests = requests;
    this.expected = expected;
  }

  /// @param deadline of each call; null for none
  /// @param requests makes the n-th request
  /// @param expected the answer that every request must get, whoever gives it; not a number if any will do
  public static Traffic start(
      RunningGateway gateway,
      int callers,
      @Nullable Duration deadline,
      LongFunction<ModelInferRequest> requests,
      ToDoubleFunction<ModelInferRequest> expected) {
    Traffic traffic = new Traffic(gateway.inference(), deadline, requests, expected);
    for (int i = 0; i < callers; i++) {
      traffic.callers.add(Thread.ofVirtual().start(traffic::call));
    }
    return traffic;
  }

  private void call() {
    while (!stopped) {
      ModelInferRequest request = requests.apply(asked.getAndIncrement());
      try {
        ModelInferResponse response = (deadline == null ? stub : stub.withDeadlineAfter(deadline)).modelInfer(request);
        double wanted = expected.applyAsDouble(request);
        if (!Double.isNaN(wanted) && Math.abs(Calls.y(response) - wanted) > 1e-3) {
          fail("x = %s: answered %s instead of %s".formatted(Calls.x(request), Calls.y(response), wanted));
        }
        count(variants, Calls.variant(response));
        if (!Calls.fallback(response).isEmpty()) {
          count(fallbacks, Calls.fallback(response));
        }
        answered.increment();
      } catch (StatusRuntimeException e) {
        if (!stopped) {
          fail(e.getStatus().toString());
        }
      }
    }
  }

  private void fail(String what) {
    failed.increment();
    if (failures.size() < FAILURES_KEPT_MAX) {
      failures.add(what);
    }
  }

  private static void count(Map<String, LongAdder> counts, String what) {
    counts.computeIfAbsent(what, _ -> new LongAdder()).increment();
  }

  /// Goes on until this many more requests have been answered.
  public Traffic awaitAnswers(long more) {
    long enough = answered.sum() + more;
    await().atMost(Duration.ofSeconds(60)).pollInterval(Duration.ofMillis(5)).until(() -> answered.sum() >= enough);
    return this;
  }

  public long answered() {
    return answered.sum();
  }

  /// Answers that are not the expected ones, and calls without an answer; the first few of them.
  public List<String> failures() {
    return List.copyOf(failures);
  }

  public long failed() {
    return failed.sum();
  }

  public long answeredBy(String variant) {
    LongAdder count = variants.get(variant);
    return count == null ? 0 : count.sum();
  }

  /// How often callers were told that the baseline stood in, by reason.
  public Map<String, Long> fallbacks() {
    Map<String, Long> counts = new TreeMap<>();
    fallbacks.forEach((reason, count) -> counts.put(reason, count.sum()));
    return counts;
  }

  /// Returns when every call has ended.
  @Override
  public void close() {
    stopped = true;
    for (Thread caller : callers) {
      try {
        caller.join();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return;
      }
    }
  }
}
