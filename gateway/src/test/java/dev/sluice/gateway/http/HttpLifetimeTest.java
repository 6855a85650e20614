package dev.sluice.gateway.http;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.routing.CallLifetime;
import dev.sluice.gateway.routing.InferenceFailure;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class HttpLifetimeTest {

  private final HttpLifetime lifetime = new HttpLifetime();
  private final AtomicInteger ran = new AtomicInteger();

  @Test
  void anActionRunsOnceWhenTheCallerLeaves() {
    try (CallLifetime.Registration _ = lifetime.onOver(ran::incrementAndGet)) {
      lifetime.end();
      lifetime.end();
    }

    assertThat(ran).hasValue(1);
    assertThat(lifetime.isOver()).isTrue();
    assertThat(lifetime.over().kind()).isEqualTo(InferenceFailure.Kind.CANCELLED);
  }

  @Test
  void anActionThatIsNotRegisteredAnyMoreDoesNotRun() {
    lifetime.onOver(ran::incrementAndGet).close();
    lifetime.end();

    assertThat(ran).hasValue(0);
  }

  @Test
  void anActionThatComesTooLateRunsAtOnce() {
    lifetime.end();
    lifetime.onOver(ran::incrementAndGet).close();

    assertThat(ran).hasValue(1);
  }

  @Test
  void aCallerWhoStaysHasAllTheTime() {
    assertThat(lifetime.isOver()).isFalse();
    assertThat(lifetime.remainingNanos()).isEqualTo(Long.MAX_VALUE);
  }
}
