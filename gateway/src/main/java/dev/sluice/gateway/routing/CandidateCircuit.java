package dev.sluice.gateway.routing;

import io.github.resilience4j.circuitbreaker.CircuitBreaker;
import io.github.resilience4j.circuitbreaker.CircuitBreaker.State;
import io.github.resilience4j.circuitbreaker.CircuitBreakerConfig;
import io.github.resilience4j.circuitbreaker.CircuitBreakerConfig.SlidingWindowType;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/// The circuit breaker in front of a candidate: one that fails half of its calls is left alone for a while.
///
/// A success costs the breaker a lock and some garbage, and a window that holds nothing but successes does not change by one
/// more. So it is told of a success only until its window must be full of them again.
final class CandidateCircuit {

  private static final int WINDOW = 20;

  /// Twice the window: some of those that are told end while the circuit is open, and count for nothing.
  private static final int SUCCESSES_TOLD = 2 * WINDOW;

  private static final CircuitBreakerConfig CONFIG =
      CircuitBreakerConfig.custom()
          .slidingWindowType(SlidingWindowType.COUNT_BASED)
          .slidingWindowSize(WINDOW)
          .minimumNumberOfCalls(10)
          .failureRateThreshold(50)
          .waitDurationInOpenState(Duration.ofSeconds(5))
          .permittedNumberOfCallsInHalfOpenState(3)
          .maxWaitDurationInHalfOpenState(Duration.ofSeconds(10))
          .build();

  private final CircuitBreaker breaker;
  private final AtomicInteger toTell = new AtomicInteger(SUCCESSES_TOLD);

  CandidateCircuit(String rollout) {
    this.breaker = CircuitBreaker.of(rollout, CONFIG);
  }

  /// Whether the candidate may be called; every `true` is followed by one of the other three.
  boolean tryAcquire() {
    return breaker.tryAcquirePermission();
  }

  void succeeded(long nanos) {
    if (toTell.get() > 0 || breaker.getState() != State.CLOSED) {
      toTell.decrementAndGet();
      breaker.onSuccess(nanos, TimeUnit.NANOSECONDS);
    }
  }

  void failed(long nanos) {
    // Before the breaker hears of it: successes from now on have to push it out of the window again.
    toTell.set(SUCCESSES_TOLD);
    breaker.onError(
        nanos,
        TimeUnit.NANOSECONDS,
        new InferenceFailure(InferenceFailure.Kind.EXECUTION_FAILED, "the candidate did not answer"));
  }

  /// The call says nothing about the candidate.
  void release() {
    breaker.releasePermission();
  }
}
