package dev.sluice.gateway.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RoutingProbeTest {

  @TempDir Path scratch;

  @Test
  void aRolloutIsSeenToCostMoreThanNone() throws Exception {
    RoutingProbe probe = new RoutingProbe(scratch, RoutingProbe.RULES_OF_ALL_NEWS, 2_000, 5);
    RoutingProbe.OneRollout one = probe.oneRollout();
    assertThat(one.without().nanos()).isPositive();
    assertThat(one.addedNanos()).isPositive();
  }

  @Test
  void eachRolloutIsSeenToTakeMemory() throws Exception {
    RoutingProbe probe = new RoutingProbe(scratch, RoutingProbe.RULES_OF_BAD_NEWS, 500, 2);
    RoutingProbe.ManyRollouts few = probe.manyRollouts(8, 4);
    assertThat(few.mappedBytes()).isGreaterThan(4 * 100_000);
    assertThat(few.heapBytes()).isPositive();
    assertThat(few.spread().nanos()).isPositive();
  }

  @Test
  void asManyModelsHaveNoRolloutAsHaveOne() {
    RoutingProbe probe = new RoutingProbe(scratch, RoutingProbe.RULES_OF_BAD_NEWS, 500, 2);
    assertThatThrownBy(() -> probe.manyRollouts(6, 4)).hasMessage("4 rollouts among 6 models: expected 1 to 3");
  }

  @Test
  @Tag("long")
  void figures() throws Exception {
    print("rules of bad news", RoutingProbe.RULES_OF_BAD_NEWS, "bad");
    print("rules of all news", RoutingProbe.RULES_OF_ALL_NEWS, "all");
    RoutingProbe.ManyRollouts many =
        new RoutingProbe(scratch.resolve("many"), RoutingProbe.RULES_OF_BAD_NEWS, 22_000, 21).manyRollouts(1_000, 200);
    System.out.printf(
        "FIGURE routing: one rollout %s; same one of 200 %s; all 200 in turn %s; 200 without in turn %s;"
            + " heap %.1f MB, mapped %.1f MB, of that in memory %.1f MB%n",
        many.one(), many.same(), many.spread(), many.spreadWithout(), many.heapBytes() / 1e6, many.mappedBytes() / 1e6,
        many.residentBytes() / 1e6);
  }

  private void print(String what, String rules, String folder) throws Exception {
    RoutingProbe.OneRollout one = new RoutingProbe(scratch.resolve(folder), rules, 50_000, 41).oneRollout();
    System.out.printf(
        "FIGURE routing, %s: without a rollout %s; with %s; added %.0f ns%n",
        what, one.without(), one.with(), one.addedNanos());
  }
}
