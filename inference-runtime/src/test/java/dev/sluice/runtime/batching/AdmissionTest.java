package dev.sluice.runtime.batching;

import static dev.sluice.runtime.batching.LoadedQueue.MILLIS;
import static dev.sluice.runtime.batching.LoadedQueue.SECONDS;
import static java.util.stream.Collectors.counting;
import static java.util.stream.Collectors.groupingBy;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.runtime.batching.LoadedQueue.Callers;
import dev.sluice.runtime.batching.NoAnswer.QueueFull;
import dev.sluice.runtime.batching.NoAnswer.Shed;
import dev.sluice.runtime.batching.NoAnswer.TooLate;
import dev.sluice.runtime.model.Batching;
import dev.sluice.runtime.model.Priorities;
import dev.sluice.runtime.model.QueuePolicy;
import dev.sluice.runtime.model.QueuePolicy.TimeoutAction;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.Tensors;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// Who is let in, who is sent away and with which words, in virtual time.
class AdmissionTest {

  private static final long NONE = Long.MAX_VALUE;

  // --- deadlines ------------------------------------------------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void offeredFiveTimesWhatItCanDoTheModelIsBusyWithAnswersInTimeAndNothingElse(long seed) {
    LoadedQueue queue = LoadedQueue.of(seed);
    queue.serve(SECONDS, Callers.steady("", 100, 100 * MILLIS)); // its pace becomes known
    queue.serve(60 * SECONDS, Callers.steady("", 1_000, 100 * MILLIS));
    long end = queue.now();

    long good = queue.good(SECONDS, end);
    assertThat(good).as("seed %d: of 200 a second", seed).isGreaterThan(59 * 200);
    assertThat(queue.latencyNanos(1)).isLessThanOrEqualTo(100 * MILLIS);
    assertThat(queue.refused(TooLate.class) + queue.refused(Shed.class)).isGreaterThan(40_000);
    assertThat(queue.ends.stream().filter(e -> e.why() != null && e.endedNanos() > e.cameNanos()).count())
        .as("most hear at once")
        .isLessThan(1_000);
    assertThat(queue.refused(NoAnswer.Withdrawn.class)).as("none waits in vain").isZero();
  }

  @Test
  void whoCannotBeInTimeIsToldWhenToComeAgain() {
    QueueRig rig = QueueRig.of(1);
    rig.model = (inputs, control) -> { rig.time.advance(10 * MILLIS); return QueueRig.doubled(inputs, control); };
    rig.submit(1);
    rig.runThread();
    for (int i = 0; i < 11; i++) {
      rig.submit(i); // one runs, ten wait
    }
    rig.ends.clear();
    QueuedRequest late = rig.request("late", 0, 0, rig.row(7));
    late.submit("", 50 * MILLIS);
    QueuedRequest inTime = rig.request("in time", 0, 0, rig.row(8));
    inTime.submit("", 200 * MILLIS);
    assertThat(rig.ends).singleElement().asString().startsWith("late: needs ").contains(" of 50000000");
    assertThat(rig.queue.waiting()).isEqualTo(11);
    rig.runAllThreads();
    assertThat(rig.ends).contains("in time -> 16");
  }

  @Test
  void aTimeoutThatTheQueueWillOutlastIsToldAtOnce() {
    QueueRig rig = new QueueRig(1, null, new Priorities(0, 0, new QueuePolicy(TimeoutAction.REJECT, 30 * MILLIS, true, 99), Map.of()));
    rig.model = (inputs, control) -> { rig.time.advance(10 * MILLIS); return QueueRig.doubled(inputs, control); };
    rig.submit(1);
    rig.runThread();
    for (int i = 0; i < 4; i++) {
      rig.submit(i);
    }
    rig.ends.clear();
    rig.submit(9);
    rig.submit(10, 0, 10 * MILLIS);
    assertThat(rig.ends).containsExactly("9: needs 35000000 of 30000000", "10: needs 35000000 of 10000000");
    rig.runAllThreads();
  }

  @Test
  void whatHasLostItsTimeWhileItWaitedIsNotRun() {
    QueueRig rig = QueueRig.of(1);
    long[] runNanos = {10 * MILLIS};
    rig.model = (inputs, control) -> { rig.time.advance(runNanos[0]); return QueueRig.doubled(inputs, control); };
    rig.submit(1);
    rig.runThread();
    rig.submit(2);
    rig.request("hurried", 0, 0, rig.row(3)).submit("", 40 * MILLIS);
    rig.request("patient", 0, 0, rig.row(4)).submit("", 400 * MILLIS);
    runNanos[0] = 35 * MILLIS;
    rig.runThread();
    assertThat(rig.ends).hasSize(4).anyMatch(end -> end.startsWith("hurried: needs ")).contains("patient -> 8");
    assertThat(rig.runs).hasSize(3);
  }

  @Test
  void aBatchLeavesOutThoseWhoseTimeHasRunOut() {
    QueueRig rig = QueueRig.batching(1, 4, 0);
    long[] runNanos = {10 * MILLIS};
    rig.model = (inputs, control) -> { rig.time.advance(runNanos[0]); return QueueRig.doubled(inputs, control); };
    rig.submit(1);
    rig.runThread();
    rig.submit(2);
    rig.request("hurried", 0, 0, rig.row(3)).submit("", 40 * MILLIS);
    for (int i = 4; i < 8; i++) {
      rig.submit(i);
    }
    runNanos[0] = 35 * MILLIS;
    rig.runThread();
    assertThat(rig.ends).anyMatch(end -> end.startsWith("hurried: needs "));
    assertThat(rig.batches()).containsExactly(1L, 1L, 4L);
  }

  // --- a pace that was wrong ------------------------------------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void aModelThatBecomesAThousandTimesFasterIsNotRefusedForWhatItWas(long seed) {
    LoadedQueue queue = LoadedQueue.of(seed);
    queue.runNanos = now -> now < 60 * SECONDS ? 5 * SECONDS : 5 * MILLIS;
    queue.serve(60 * SECONDS, Callers.steady("", 1, NONE));
    queue.rig.runAllThreads();
    long changed = queue.now();
    queue.serve(10 * SECONDS, Callers.steady("", 100, 50 * MILLIS));
    long perSecond = queue.good(changed + SECONDS, changed + 10 * SECONDS) / 9;
    System.out.printf(
        "FIGURE admission, a run of 5 s now takes 5 ms: %d of the first second's 100 answered, then %d per second%n",
        queue.good(changed, changed + SECONDS), perSecond);
    assertThat(perSecond).as("seed %d", seed).isGreaterThan(90);
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void aModelThatBecomesAThousandTimesSlowerRefusesWhatItCannotDoAndRunsTheRest(long seed) {
    LoadedQueue queue = LoadedQueue.of(seed);
    queue.runNanos = now -> now < 10 * SECONDS ? 50_000 : 50 * MILLIS;
    queue.serve(10 * SECONDS, Callers.steady("", 500, 200 * MILLIS));
    long changed = queue.now();
    queue.serve(20 * SECONDS, Callers.steady("", 500, 200 * MILLIS));
    long good = queue.good(changed + SECONDS, changed + 20 * SECONDS) / 19;
    System.out.printf("FIGURE admission, a run of 50 us now takes 50 ms: %d of 20 per second are in time%n", good);
    assertThat(good).as("seed %d", seed).isGreaterThanOrEqualTo(18);
  }

  @Test
  void whoHasLessTimeThanARunTakesIsTriedNowAndThenOnly() {
    LoadedQueue queue = LoadedQueue.of(1);
    queue.runNanos = _ -> 500 * MILLIS;
    queue.serve(5 * SECONDS, Callers.steady("", 1, NONE));
    queue.rig.runAllThreads();
    queue.ends.clear();
    long before = queue.runs();
    queue.serve(60 * SECONDS, Callers.steady("", 50, 100 * MILLIS));
    assertThat(queue.runs() - before).isBetween(20L, 61L);
    assertThat(queue.ends.stream().filter(e -> e.why() instanceof TooLate).map(e -> ((TooLate) e.why()).alone()))
        .contains(true);
  }

  // --- a queue that stands --------------------------------------------------------------------------------------------

  @Test
  void callersWithoutADeadlineWaitForABoundedTimeAndAnOverloadIsSoonOver() {
    LoadedQueue queue = LoadedQueue.of(5);
    queue.serve(30 * SECONDS, Callers.steady("", 1_000, NONE));
    assertThat(queue.refused(Shed.class)).isPositive();
    queue.rig.runAllThreads();
    long drained = queue.ends.getLast().endedNanos() - 30 * SECONDS;
    System.out.printf("FIGURE admission, no deadlines, 5 x capacity: drained after %d ms%n", drained / MILLIS);
    assertThat(drained).isLessThan(SECONDS);
  }

  @Test
  void aBurstIsNoOverload() {
    LoadedQueue queue = LoadedQueue.of(6);
    queue.serve(120 * SECONDS, new Callers("", _ -> 100, NONE, 100));
    queue.rig.runAllThreads();
    assertThat(queue.ends).hasSizeGreaterThan(10_000);
    assertThat(queue.refused(QueueFull.class)).isZero();
    System.out.printf(
        "FIGURE admission, bursts of 100 at 50 %% of capacity: %d of %d shed, p99 %d ms%n",
        queue.refused(Shed.class), queue.ends.size(), queue.latencyNanos(0.99) / MILLIS);
    assertThat(queue.refused(Shed.class)).isLessThan(queue.ends.size() / 1_000);
  }

  @Test
  void whatWaitsIsBoundedInBytesButALargeRequestHasItsTurn() {
    QueueRig rig = QueueRig.of(1);
    rig.submit(1);
    // Never touched, so the system gives it no memory.
    ByteBuffer half = ByteBuffer.allocateDirect((int) (VersionQueue.BYTES_MAX / 2 + 4));
    Tensor large = new Tensor("x", Datatype.FP32, Shape.of(1, half.capacity() / 4), half);
    QueuedRequest first = rig.request("first", 0, 0, large);
    first.submit();
    rig.request("second", 0, 0, large).submit();
    assertThat(rig.ends).containsExactly("second: full at " + VersionQueue.BYTES_MAX + " bytes");
    rig.submit(3);
    assertThat(rig.queue.waiting()).isEqualTo(2);
    first.cancel();
    rig.runAllThreads();
  }

  @Test
  void aQueueThatRanEmptyBecauseItsCallersLeftTakesInTheNextBurst() {
    QueueRig rig = QueueRig.of(1);
    List<QueuedRequest> waiting = new ArrayList<>();
    rig.model =
        (inputs, control) -> {
          rig.time.advance(100 * MILLIS);
          if (rig.runs.size() == 35) { // it has stood for a second and more
            rig.submit(100);
            assertThat(rig.ends.getLast()).isEqualTo("100: shed with 26 left");
            waiting.forEach(QueuedRequest::cancel);
            for (int i = 200; i < 240; i++) {
              rig.submit(i);
            }
          }
          return QueueRig.doubled(inputs, control);
        };
    for (int i = 0; i < 61; i++) {
      waiting.add(rig.submit(i));
    }
    rig.runAllThreads();
    assertThat(rig.ends.stream().filter(end -> end.contains("shed"))).containsExactly("100: shed with 26 left");
    assertThat(rig.ends).contains("239 -> 478");
  }

  // --- tenants --------------------------------------------------------------------------------------------------------

  @Test
  void tenantsThatAlwaysWaitGetEqualSharesAndOneThatAsksForLessGetsAllItAsksFor() {
    LoadedQueue queue = LoadedQueue.of(7);
    queue.serve(
        60 * SECONDS,
        Callers.steady("greedy", 2_000, 200 * MILLIS),
        Callers.steady("busy", 150, 200 * MILLIS),
        Callers.steady("quiet", 20, 200 * MILLIS));
    Map<String, Long> good = queue.goodByTenant();
    System.out.printf("FIGURE admission, tenants asking for 2000, 150 and 20 of 200 per second: %s in 60 s%n", good);
    assertThat(good.get("quiet")).isGreaterThan(20 * 60 * 9 / 10);
    assertThat(good.get("busy")).isBetween(4_700L, 6_300L);
    assertThat(good.get("greedy")).isBetween(4_700L, 6_300L);
  }

  @Test
  void aTenantWhoseOneLargeRequestWaitsPaysForItWhenItComesAgain() {
    QueueRig rig = QueueRig.of(1);
    Tensor large = Tensors.floats("x", Shape.of(20, 1), new float[20]);
    long[] rows = new long[2];
    rig.model =
        (inputs, control) -> {
          long ran = inputs.getFirst().shape().dim(0);
          if (rows[0] + rows[1] < 4_000) { // both come again at once, and never have more than this waiting
            rows[ran == 1 ? 0 : 1] += ran;
            rig.request("again", 0, 0, ran == 1 ? rig.row(1) : large).submit(ran == 1 ? "small" : "large", NONE);
          }
          return inputs;
        };
    rig.request("small", 0, 0, rig.row(1)).submit("small", NONE);
    rig.request("large", 0, 0, large).submit("large", NONE);
    rig.request("small", 0, 0, rig.row(1)).submit("small", NONE);
    rig.runAllThreads();
    assertThat((double) rows[1] / rows[0]).as("rows of large requests to those of small ones").isBetween(0.9, 1.1);
  }

  @Test
  void whoeverHasMostWaitingIsFoundAmongManyTenants() {
    Random random = new Random(17);
    QueueRig rig = QueueRig.of(1);
    WaitingLine line = new WaitingLine();
    List<QueuedRequest> waiting = new ArrayList<>();
    for (int step = 0; step < 20_000; step++) {
      if (waiting.isEmpty() || random.nextInt(100) < 55) {
        QueuedRequest last = rig.request("r", 0, 0, rig.row(1));
        last.tenant = "t" + random.nextInt(50);
        line.add(last);
        waiting.add(last);
        Map<String, Long> sizes = waiting.stream().collect(groupingBy(request -> request.tenant, counting()));
        QueuedRequest shed = line.shed(last);
        long most = Collections.max(sizes.values());
        assertThat(sizes.get(shed.tenant)).as("step %d", step).isEqualTo(most);
        assertThat(waiting.stream().filter(r -> r.tenant.equals(shed.tenant)).toList().getLast()).isSameAs(shed);
        if (sizes.getOrDefault(last.tenant, 0L) == most) {
          assertThat(shed).as("nobody else has more").isSameAs(last);
        }
      } else {
        QueuedRequest gone = waiting.remove(random.nextInt(waiting.size()));
        if (random.nextBoolean()) {
          line.remove(gone);
        } else {
          line.removeForRun(gone);
        }
      }
    }
  }

  @Test
  void aFullQueueShedsTheNewestOfWhoeverHasMostInIt() {
    QueueRig rig = new QueueRig(1, null, new Priorities(0, 0, new QueuePolicy(TimeoutAction.REJECT, 0, false, 3), Map.of()));
    rig.submit(0);
    for (int i = 1; i <= 3; i++) {
      rig.request("greedy " + i, 0, 0, rig.row(i)).submit("greedy", NONE);
    }
    rig.request("quiet", 0, 0, rig.row(4)).submit("quiet", NONE);
    rig.request("greedy 5", 0, 0, rig.row(5)).submit("greedy", NONE);
    assertThat(rig.ends).containsExactly("greedy 3: shed with 3 left", "greedy 5: full at 3");
    rig.runAllThreads();
    assertThat(rig.ends.subList(2, 6)).containsExactly("0 -> 0", "greedy 1 -> 2", "quiet -> 8", "greedy 2 -> 4");
  }

  @Test
  void manyNamesTakeNoMoreThanWhatWaits() {
    LoadedQueue queue = new LoadedQueue(8, new Batching(8, List.of(), 0, false), Priorities.none());
    for (int second = 0; second < 20; second++) {
      queue.serve(SECONDS, Callers.steady("x".repeat(500) + second, 3_000, NONE), Callers.steady("n" + second, 500, NONE));
      assertThat(queue.rig.queue.tenants()).isLessThanOrEqualTo(queue.rig.queue.waiting());
    }
    queue.rig.runAllThreads();
    assertThat(queue.rig.queue.tenants()).isZero();
  }
}
