package dev.sluice.runtime.batching;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.runtime.batching.BatchPolicy.Decision;
import dev.sluice.runtime.batching.BatchPolicy.Decision.Cut;
import dev.sluice.runtime.batching.BatchPolicy.Decision.Idle;
import dev.sluice.runtime.batching.BatchPolicy.Decision.WaitUntil;
import dev.sluice.runtime.model.Batching;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BatchPolicyTest {

  private record Request(int number, long rows, long bytes, String shape, int rank, long waitingSinceNanos)
      implements BatchPolicy.Waiting {

    @Override
    public boolean canShare() {
      return !shape.isEmpty();
    }

    @Override
    public boolean canShareWith(BatchPolicy.Waiting other) {
      return canShare() && shape.equals(((Request) other).shape);
    }
  }

  /// `waiting` lists requests as `<rows><shape>[@arrival]`: `2a@5` has two rows of shape a and came at 5.
  /// `decision` is the numbers of those that run now, or `until <time>`.
  @ParameterizedTest(name = "max {0}, preferred {1}, delay {2}, at {3}: {4} -> {5}")
  @CsvSource({
    // Nothing is waited for: whatever is there, up to the largest batch.
    "8, '', 0, 0, '1a', '0'",
    "8, '', 0, 0, '1a 1a 1a', '0 1 2'",
    "4, '', 0, 0, '1a 1a 1a 1a 1a 1a', '0 1 2 3'",
    "4, '', 0, 0, '2a 1a 2a 1a', '0 1'",
    "4, '', 0, 0, '4a 1a', '0'",
    // A request larger than the largest batch runs alone.
    "4, '', 0, 0, '9a 1a', '0'",
    "4, '', 0, 0, '1a 9a', '0'",
    "4, '', 100, 0, '9a@0', '0'",
    // Other shapes are passed over, and what cannot share runs alone.
    "8, '', 0, 0, '1a 1b 1a 2b', '0 2'",
    "8, '', 0, 0, '1 1a', '0'",
    "8, '', 0, 0, '1a 1 1a', '0 2'",
    // With a delay: a full batch at once, else until the oldest has waited for it.
    "4, '', 100, 10, '1a@0', 'until 100'",
    "4, '', 100, 10, '2a@7 1a@5', 'until 105'",
    "4, '', 100, 10, '1a@0 1a@5 2a@9', '0 1 2'",
    "4, '', 100, 100, '1a@0 1a@5', '0 1'",
    "4, '', 100, 10, '3a@0 2a@5', '0'",
    "4, '', 100, 10, '1a@0 1b@5 1a@6', '0 2'",
    // Preferred sizes: the largest one that can be formed, and at last whatever there is.
    "8, '2 4', 100, 10, '1a@0', 'until 100'",
    "8, '2 4', 100, 10, '1a@0 1a@1', '0 1'",
    "8, '2 4', 100, 10, '1a@0 1a@1 1a@2', '0 1'",
    "8, '2 4', 100, 10, '1a@0 1a@1 1a@2 1a@3 1a@4 1a@5', '0 1 2 3'",
    "8, '4', 100, 10, '1a@0 1a@1 1a@2', 'until 100'",
    "8, '4', 100, 100, '1a@0 1a@1 1a@2', '0 1 2'",
    "8, '4', 100, 10, '3a@0 3a@1', '0'",
    "8, '4', 100, 100, '3a@0 3a@1', '0 1'",
    "8, '4', 100, 100, '1a@0 1a@1 1a@2 1a@3 1a@4 1a@5 1a@6 1a@7 1a@8', '0 1 2 3 4 5 6 7'",
    "8, '4', 100, 10, '6a@0', '0'",
    "8, '4', 0, 0, '1a 1a 1a', '0 1 2'",
    "8, '4', 0, 0, '1a 1a 1a 1a 1a 1a', '0 1 2 3'",
  })
  void decides(int rowsMax, String preferred, long delay, long now, String waiting, String decision) {
    BatchPolicy policy =
        new BatchPolicy(
            new Batching(
                rowsMax,
                preferred.isEmpty() ? List.of() : Arrays.stream(preferred.split(" ", -1)).map(Integer::valueOf).toList(),
                delay,
                false));
    assertThat(text(policy.decide(requests(waiting), now))).isEqualTo(decision);
  }

  private static List<Request> requests(String waiting) {
    String[] words = waiting.split(" ", -1);
    return IntStream.range(0, words.length)
        .mapToObj(
            number -> {
              String[] parts = words[number].split("@", -1);
              String shape = parts[0].replaceAll("\\d", "");
              long rows = Long.parseLong(parts[0].replaceAll("\\D", ""));
              return new Request(number, rows, rows, shape, 0, parts.length > 1 ? Long.parseLong(parts[1]) : 0);
            })
        .toList();
  }

  private static String text(Decision<Request> decision) {
    return switch (decision) {
      case Cut<Request>(List<Request> cut) ->
          String.join(" ", cut.stream().map(request -> Integer.toString(request.number)).toList());
      case WaitUntil<Request>(long nanos) -> "until " + nanos;
      case Idle<Request> _ -> "idle";
    };
  }

  @Test
  void nothingWaitsSoNothingRuns() {
    assertThat(new BatchPolicy(null).decide(List.<Request>of(), 0)).isEqualTo(new Idle<>());
    assertThat(new BatchPolicy(new Batching(8, List.of(), 10, false)).decide(List.<Request>of(), 0))
        .isEqualTo(new Idle<>());
  }

  @Test
  void withoutBatchingEachRequestRunsAlone() {
    assertThat(text(new BatchPolicy(null).decide(requests("1a 1a"), 0))).isEqualTo("0");
  }

  @Test
  void aRequestIsPassedOverByItsOwnRankOnly() {
    List<Request> waiting =
        List.of(
            new Request(0, 1, 1, "a", 1, 0),
            new Request(1, 1, 1, "b", 1, 0),
            new Request(2, 1, 1, "a", 1, 0),
            new Request(3, 1, 1, "a", 2, 0));
    assertThat(text(new BatchPolicy(new Batching(8, List.of(), 0, false)).decide(waiting, 0))).isEqualTo("0 2");
  }

  @Test
  void ranksShareARunWhenNobodyIsPassedOver() {
    List<Request> waiting =
        List.of(new Request(0, 1, 1, "a", 1, 0), new Request(1, 1, 1, "a", 2, 0), new Request(2, 1, 1, "a", 3, 0));
    assertThat(text(new BatchPolicy(new Batching(8, List.of(), 0, false)).decide(waiting, 0))).isEqualTo("0 1 2");
  }

  @Test
  void nobodyIsPassedOverWhereAnswersKeepTheirOrder() {
    assertThat(text(new BatchPolicy(new Batching(8, List.of(), 0, true)).decide(requests("1a 1a 1b 1a"), 0)))
        .isEqualTo("0 1");
  }

  @Test
  void aBatchHasABoundInBytes() {
    List<Request> waiting =
        List.of(
            new Request(0, 1, BatchPolicy.BYTES_MAX - 1, "a", 0, 0),
            new Request(1, 1, 1, "a", 0, 0),
            new Request(2, 1, 1, "a", 0, 0));
    assertThat(text(new BatchPolicy(new Batching(8, List.of(), 0, false)).decide(waiting, 0))).isEqualTo("0 1");
  }

  @Test
  void timeMayWrapAround() {
    List<Request> waiting = List.of(new Request(0, 1, 1, "a", 0, Long.MAX_VALUE - 5));
    BatchPolicy policy = new BatchPolicy(new Batching(8, List.of(), 10, false));
    assertThat(policy.decide(waiting, Long.MAX_VALUE)).isEqualTo(new WaitUntil<>(Long.MIN_VALUE + 4));
    assertThat(policy.decide(waiting, Long.MIN_VALUE + 4)).isEqualTo(new Cut<>(waiting));
  }

  @Test
  void whateverWaitsTheDecisionKeepsItsPromises() {
    for (int round = 0; round < 20_000; round++) {
      long seed = System.nanoTime() + round;
      check(new Random(seed), "seed " + seed);
    }
  }

  private static void check(Random random, String seed) {
    int rowsMax = 1 + random.nextInt(16);
    List<Integer> preferred =
        random.nextBoolean() ? List.of() : random.ints(1 + random.nextInt(3), 1, rowsMax + 1).boxed().toList();
    long delay = random.nextBoolean() ? 0 : 1L + random.nextInt(100);
    Batching batching = new Batching(rowsMax, preferred, delay, random.nextInt(4) == 0);
    long now = 1_000;
    List<Request> waiting = new ArrayList<>();
    int rank = 0;
    int count = 1 + random.nextInt(20);
    for (int number = 0; number < count; number++) {
      rank += random.nextInt(8) == 0 ? 1 : 0;
      long rows = 1L + random.nextInt(random.nextInt(6) == 0 ? 24 : 3);
      String shape = List.of("a", "a", "a", "b", "").get(random.nextInt(5));
      waiting.add(new Request(number, rows, rows, shape, rank, now - random.nextInt(150)));
    }
    Decision<Request> decision = new BatchPolicy(batching).decide(waiting, now);
    String context = "%s: %s, %s -> %s".formatted(seed, batching, waiting, decision);
    assertThat(new BatchPolicy(batching).decide(waiting, now)).as(context).isEqualTo(decision);
    switch (decision) {
      case Idle<Request> _ -> throw new AssertionError(context);
      case WaitUntil<Request>(long until) -> {
        assertThat(delay).as(context).isPositive();
        assertThat(until).as(context).isGreaterThan(now);
        // Not for nothing: all fit into one run that can still grow, and nobody has waited too long.
        assertThat(waiting).as(context).allMatch(request -> until <= request.waitingSinceNanos + delay);
        assertThat(waiting).as(context).allMatch(waiting.getFirst()::canShareWith);
        assertThat(rows(waiting)).as(context).isLessThan(rowsMax);
        assertThat(batching.preferredRows()).as(context).doesNotContain((int) rows(waiting));
      }
      case Cut<Request>(List<Request> cut) -> {
        assertThat(cut).as(context).isNotEmpty().doesNotHaveDuplicates();
        assertThat(cut.getFirst()).as(context).isEqualTo(waiting.getFirst());
        assertThat(cut).as(context).isSortedAccordingTo((one, other) -> one.number - other.number);
        if (cut.size() > 1) {
          assertThat(rows(cut)).as(context).isLessThanOrEqualTo(rowsMax);
          assertThat(cut).as(context).allMatch(cut.getFirst()::canShareWith);
        }
        passedOver(waiting, cut)
            .forEach(
                left -> {
                  assertThat(batching.preserveOrdering()).as(context).isFalse();
                  assertThat(cut)
                      .as(context)
                      .allMatch(request -> request.number < left.number || request.rank == left.rank);
                });
      }
    }
  }

  private static List<Request> passedOver(List<Request> waiting, List<Request> cut) {
    Request last = cut.getLast();
    return waiting.stream().filter(request -> request.number < last.number && !cut.contains(request)).toList();
  }

  private static long rows(List<Request> requests) {
    return requests.stream().mapToLong(Request::rows).sum();
  }
}
