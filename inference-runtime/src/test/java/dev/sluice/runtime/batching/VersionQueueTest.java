package dev.sluice.runtime.batching;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.runtime.model.Batching;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelExecutionException.Kind;
import dev.sluice.runtime.model.Priorities;
import dev.sluice.runtime.model.QueuePolicy;
import dev.sluice.runtime.model.QueuePolicy.TimeoutAction;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.VersionStatistics.BatchSize;
import dev.sluice.runtime.model.VersionStatistics.FailureReason;
import dev.sluice.runtime.model.VersionStatistics.Snapshot;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.Tensors;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class VersionQueueTest {

  private QueueRig rig = QueueRig.of(1);

  @AfterEach
  void everyLeaseIsBackAndNothingWaits() {
    rig.runAllThreads();
    assertThat(rig.version.callsInFlight()).isZero();
    assertThat(rig.queue.waiting()).isZero();
    assertThat(rig.queue.isBackedUp()).isFalse();
    assertThat(rig.version.statistics().snapshot().pendingRequests()).isZero();
  }

  private static Priorities priorities(QueuePolicy policy) {
    return new Priorities(0, 0, policy, Map.of());
  }

  private static QueuePolicy sizeMax(int size) {
    return new QueuePolicy(TimeoutAction.REJECT, 0, false, size);
  }

  // --- instances ------------------------------------------------------------------------------------------------------

  @Test
  void asManyRequestsRunAsThereAreInstancesAndTheOthersWaitInOrder() {
    rig = QueueRig.of(2);
    for (int i = 0; i < 5; i++) {
      rig.submit(i);
    }
    assertThat(rig.threads).hasSize(2);
    assertThat(rig.queue.waiting()).isEqualTo(3);
    assertThat(rig.queue.isBackedUp()).isTrue();
    rig.runThread();
    assertThat(rig.ends).as("one instance does what waits").containsExactly("0 -> 0", "2 -> 4", "3 -> 6", "4 -> 8");
    rig.runThread();
    assertThat(rig.ends).endsWith("1 -> 2");
    assertThat(rig.batches()).containsOnly(1L);
  }

  @Test
  void aRequestRunsOnItsOwnThreadOnlyWhereNobodyHadToWaitForThat() {
    QueuedRequest first = rig.request("first", 0, 0, Tensors.floats("x", Shape.of(1, 1), 1));
    assertThat(first.tryRunHere(RunControl.create())).isTrue();
    assertThat(rig.ends).containsExactly("first -> 2");

    rig.submit(2);
    QueuedRequest second = rig.request("second", 0, 0, Tensors.floats("x", Shape.of(1, 1), 3));
    assertThat(second.tryRunHere(RunControl.create())).as("the instance is taken").isFalse();
    second.submit();
    rig.runAllThreads();
    assertThat(rig.ends).containsExactly("first -> 2", "2 -> 4", "second -> 6");
  }

  @Test
  void whoCameDuringARunOnACallersThreadRunsAfterIt() {
    rig.model =
        (inputs, control) -> {
          if (rig.runs.size() == 1) {
            rig.submit(7);
            assertThat(rig.threads).isEmpty();
            assertThat(rig.queue.waiting()).isOne();
          }
          return QueueRig.doubled(inputs, control);
        };
    QueuedRequest first = rig.request("first", 0, 0, Tensors.floats("x", Shape.of(1, 1), 1));
    assertThat(first.tryRunHere(RunControl.create())).isTrue();
    assertThat(rig.threads).hasSize(1);
    rig.runThread();
    assertThat(rig.ends).containsExactly("first -> 2", "7 -> 14");
  }

  @Test
  void aRunOnACallersThreadThatWasStoppedCanBeSubmitted() {
    RunControl control = RunControl.create();
    rig.model =
        (inputs, own) -> {
          if (own == control) {
            throw new ModelExecutionException(Kind.TERMINATED, "stopped");
          }
          return QueueRig.doubled(inputs, own);
        };
    QueuedRequest request = rig.request("long", 0, 0, Tensors.floats("x", Shape.of(1, 1), 1));
    assertThat(request.tryRunHere(control)).isFalse();
    request.submit();
    rig.runThread();
    assertThat(rig.ends).containsExactly("long -> 2");
  }

  // --- the bound ------------------------------------------------------------------------------------------------------

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 7})
  void aFullQueueRefusesTheNextRequestAtOnce(int size) {
    rig = new QueueRig(2, null, priorities(sizeMax(size)));
    int running = 2;
    for (int i = 0; i < running + size; i++) {
      rig.submit(i);
    }
    assertThat(rig.ends).as("what is being run does not wait").isEmpty();
    rig.submit(100);
    assertThat(rig.ends).containsExactly("100: full at " + size);
    rig.runThread();
    assertThat(rig.ends).hasSize(1 + 1 + size);
    rig.submit(200);
    assertThat(rig.ends).doesNotContain("200: full at " + size);
    assertThat(rig.version.statistics().snapshot().failure(FailureReason.REJECTED).count()).isOne();
  }

  @Test
  void aCancelledRequestFreesItsPlaceAtOnce() {
    rig = new QueueRig(1, null, priorities(sizeMax(1)));
    rig.submit(1);
    QueuedRequest waits = rig.submit(2);
    waits.cancel();
    assertThat(rig.ends).containsExactly("2: withdrawn");
    assertThat(rig.version.callsInFlight()).as("its lease too").isOne();
    rig.submit(3);
    rig.submit(4);
    assertThat(rig.ends).containsExactly("2: withdrawn", "4: full at 1");
    waits.cancel();
    rig.runAllThreads();
    assertThat(rig.ends).containsExactly("2: withdrawn", "4: full at 1", "1 -> 2", "3 -> 6");
  }

  @Test
  void aRequestThatWasCancelledBeforeItCameIsNotRun() {
    QueuedRequest request = rig.request("gone", 0, 0, Tensors.floats("x", Shape.of(1, 1), 1));
    request.cancel();
    request.submit();
    assertThat(rig.ends).containsExactly("gone: withdrawn");
    assertThat(rig.threads).isEmpty();
  }

  @Test
  void eachLevelHasABoundOfItsOwn() {
    rig =
        new QueueRig(
            1, null, new Priorities(3, 2, sizeMax(2), Map.of(1, sizeMax(1))));
    rig.submit(0);
    rig.submit(11, 1, 0);
    rig.submit(12, 1, 0);
    rig.submit(21, 2, 0);
    rig.submit(22, 0, 0);
    rig.submit(23, 99, 0);
    rig.submit(31, 3, 0);
    assertThat(rig.ends).containsExactly("12: full at 1", "23: full at 2");
    rig.runAllThreads();
    assertThat(rig.ends.subList(2, 7))
        .as("the most urgent first; who names no level, or none that exists, has the default one")
        .containsExactly("0 -> 0", "11 -> 22", "21 -> 42", "22 -> 44", "31 -> 62");
  }

  // --- timeouts -------------------------------------------------------------------------------------------------------

  @Test
  void aTimeoutHoldsToTheNanosecondWhileAllInstancesAreBusy() {
    rig = new QueueRig(1, null, priorities(new QueuePolicy(TimeoutAction.REJECT, 100, false, 10)));
    rig.submit(1);
    rig.time.advance(30);
    rig.submit(2);
    rig.time.advance(99);
    assertThat(rig.ends).isEmpty();
    rig.time.advance(1);
    assertThat(rig.ends).containsExactly("2: timed out after 100");
    assertThat(rig.version.callsInFlight()).isOne();
    rig.time.advance(1_000);
    rig.runThread();
    assertThat(rig.ends).as("what is being run has no timeout").containsExactly("2: timed out after 100", "1 -> 2");
  }

  @Test
  void aRequestWhoseTimeIsUpIsNotRunEvenIfTheTimerIsLate() {
    rig = new QueueRig(1, null, priorities(new QueuePolicy(TimeoutAction.REJECT, 100, false, 10)));
    rig.model =
        (inputs, control) -> {
          rig.time.pass(100); // no alarm rings
          return QueueRig.doubled(inputs, control);
        };
    rig.submit(1);
    rig.submit(2);
    rig.runThread();
    assertThat(rig.ends).containsExactlyInAnyOrder("1 -> 2", "2: timed out after 100");
  }

  @Test
  void aRequestMayOnlyAskForLessTime() {
    rig = new QueueRig(1, null, priorities(new QueuePolicy(TimeoutAction.REJECT, 100, true, 10)));
    rig.submit(0);
    rig.submit(1, 0, 0);
    rig.submit(2, 0, 40);
    rig.submit(3, 0, 400);
    rig.time.advance(40);
    assertThat(rig.ends).containsExactly("2: timed out after 40");
    rig.time.advance(60);
    assertThat(rig.ends)
        .containsExactlyInAnyOrder("2: timed out after 40", "1: timed out after 100", "3: timed out after 100");
  }

  @Test
  void aRequestHasNoSayWhereItIsNotAllowedOrThereIsNothingToShorten() {
    rig = new QueueRig(1, null, priorities(new QueuePolicy(TimeoutAction.REJECT, 100, false, 10)));
    rig.submit(0);
    rig.submit(1, 0, 40);
    rig.time.advance(99);
    assertThat(rig.ends).isEmpty();
    rig.runAllThreads();

    rig = new QueueRig(1, null, priorities(new QueuePolicy(TimeoutAction.REJECT, 0, true, 10)));
    rig.submit(0);
    rig.submit(1, 0, 40);
    rig.time.advance(1_000_000);
    assertThat(rig.ends).isEmpty();
    rig.runAllThreads();
    assertThat(rig.ends).containsExactly("0 -> 0", "1 -> 2");
  }

  @Test
  void aDelayedRequestRunsBehindEverythingElseAndKeepsItsPlace() {
    QueuePolicy delayed = new QueuePolicy(TimeoutAction.DELAY, 100, false, 2);
    rig = new QueueRig(1, null, new Priorities(2, 2, sizeMax(10), Map.of(1, delayed)));
    rig.submit(0);
    rig.submit(11, 1, 0);
    rig.submit(12, 1, 0);
    rig.time.advance(100);
    rig.submit(13, 1, 0);
    assertThat(rig.ends).as("it still counts").containsExactly("13: full at 2");
    rig.submit(21, 2, 0);
    rig.runAllThreads();
    assertThat(rig.ends).containsExactly("13: full at 2", "0 -> 0", "21 -> 42", "11 -> 22", "12 -> 24");
  }

  @Test
  void noAlarmIsLeftBehindForARequestThatHasRun() {
    rig = new QueueRig(1, null, priorities(new QueuePolicy(TimeoutAction.REJECT, 100, false, 10)));
    rig.submit(1);
    rig.submit(2);
    rig.runAllThreads();
    rig.time.advance(100);
    assertThat(rig.time.alarms()).isZero();
    assertThat(rig.ends).containsExactly("1 -> 2", "2 -> 4");
  }

  // --- batches --------------------------------------------------------------------------------------------------------

  @Test
  void whatWaitedForAnInstanceSharesARun() {
    rig = QueueRig.batching(1, 4, 0);
    for (int i = 0; i < 7; i++) {
      rig.submit(i);
    }
    rig.runAllThreads();
    assertThat(rig.batches()).containsExactly(1L, 4L, 2L);
    assertThat(rig.ends)
        .containsExactly("0 -> 0", "1 -> 2", "2 -> 4", "3 -> 6", "4 -> 8", "5 -> 10", "6 -> 12");
    Snapshot statistics = rig.version.statistics().snapshot();
    assertThat(statistics.inferenceCount()).isEqualTo(7);
    assertThat(statistics.executionCount()).isEqualTo(3);
    assertThat(statistics.request().count()).isEqualTo(7);
    assertThat(statistics.batches()).extracting(BatchSize::rows).containsExactly(1L, 2L, 4L);
  }

  @Test
  void aBatchIsGatheredWhereNativeCodeCanReadIt() {
    rig = QueueRig.batching(1, 8, 0);
    rig.submit(0);
    rig.submit("two", 0, 0, Tensors.floats("x", Shape.of(2, 3), 1, 2, 3, 4, 5, 6));
    rig.submit("one", 0, 0, Tensors.floats("x", Shape.of(1, 3), 7, 8, 9));
    rig.runAllThreads();
    assertThat(rig.ends).containsExactly("0 -> 0", "two -> 2 4 6 8 10 12", "one -> 14 16 18");
    Tensor gathered = rig.runs.get(1).getFirst();
    assertThat(gathered.shape()).isEqualTo(Shape.of(3, 3));
    assertThat(gathered.bytes().isDirect()).isTrue();
    assertThat(gathered.bytes().alignmentOffset(0, 8)).isZero();
  }

  @Test
  void anInstanceThatIsFreeWaitsForMoreNoLongerThanTheDelay() {
    rig = QueueRig.batching(2, 4, 100);
    rig.submit(1);
    rig.time.advance(60);
    rig.submit(2);
    assertThat(rig.threads).isEmpty();
    assertThat(rig.queue.waiting()).isEqualTo(2);
    assertThat(rig.queue.isBackedUp()).as("they wait for company, not for an instance").isFalse();
    rig.time.advance(39);
    assertThat(rig.threads).isEmpty();
    rig.time.advance(1);
    assertThat(rig.threads).hasSize(1);
    rig.runThread();
    assertThat(rig.batches()).containsExactly(2L);
  }

  @Test
  void aBatchThatIsFullDoesNotWait() {
    rig = QueueRig.batching(2, 2, 100);
    rig.submit(1);
    rig.submit(2);
    assertThat(rig.threads).hasSize(1);
    rig.submit(3);
    rig.runThread();
    assertThat(rig.batches()).containsExactly(2L);
    rig.time.advance(100);
    rig.runThread();
    assertThat(rig.batches()).containsExactly(2L, 1L);
  }

  @Test
  void requestsOfOtherShapesOrOutputsDoNotShareARun() {
    rig = QueueRig.batching(1, 8, 0);
    rig.submit(0);
    rig.submit("wide", 0, 0, Tensors.floats("x", Shape.of(1, 2), 1, 2));
    rig.submit(3);
    rig.submit("wide too", 0, 0, Tensors.floats("x", Shape.of(1, 2), 3, 4));
    assertThat(rig.version.tryAcquire()).isTrue();
    List<String> others = new ArrayList<>();
    rig.queue
        .request(
            List.of(Tensors.floats("x", Shape.of(1, 1), 5)),
            List.of("other"),
            0,
            0,
            rig.time.nanos(),
            new QueuedRequest.Completion() {
              @Override
              public boolean isWanted() {
                return true;
              }

              @Override
              public void succeeded(List<Tensor> outputs) {
                others.add("other");
              }

              @Override
              public void failed(NoAnswer why) {
                others.add(why.toString());
              }
            })
        .submit();
    rig.runAllThreads();
    assertThat(rig.batches()).containsExactly(1L, 2L, 1L, 1L);
    assertThat(rig.ends).containsExactly("0 -> 0", "wide -> 2 4", "wide too -> 6 8", "3 -> 6");
    assertThat(others).containsExactly("other");
  }

  @Test
  void aRequestWithoutRowsRunsAlone() {
    rig = QueueRig.batching(1, 8, 100);
    rig.submit("none", 0, 0, Tensors.floats("x", Shape.of(0, 1)));
    rig.runThread();
    assertThat(rig.ends).containsExactly("none ->");
  }

  @Test
  void stringsAreCutWhereTheirRowsEnd() {
    rig = QueueRig.batching(1, 8, 0);
    List<Tensor> answers = new ArrayList<>();
    rig.model = (inputs, _) -> List.of(new Tensor("y", inputs.getFirst().datatype(), inputs.getFirst().shape(),
        java.nio.ByteBuffer.allocate(inputs.getFirst().bytes().limit()).put(0, inputs.getFirst().bytes(), 0,
            inputs.getFirst().bytes().limit())));
    rig.submit(0);
    List<Tensor> asked =
        List.of(
            Tensors.strings("x", Shape.of(1, 2), "", "a longer one"),
            Tensors.strings("x", Shape.of(2, 2), "a", "b", "", "\u00e4\u0000"),
            Tensors.strings("x", Shape.of(1, 2), "last", ""));
    for (Tensor input : asked) {
      assertThat(rig.version.tryAcquire()).isTrue();
      rig.queue.request(List.of(input), List.of("y"), 0, 0, 0, collecting(answers)).submit();
    }
    rig.runAllThreads();
    assertThat(rig.batches()).containsExactly(1L, 4L);
    for (int i = 0; i < asked.size(); i++) {
      assertThat(answers.get(i).shape()).isEqualTo(asked.get(i).shape());
      assertThat(answers.get(i).bytes()).isEqualTo(asked.get(i).bytes());
    }
  }

  private static QueuedRequest.Completion collecting(List<Tensor> answers) {
    return new QueuedRequest.Completion() {
      @Override
      public boolean isWanted() {
        return true;
      }

      @Override
      public void succeeded(List<Tensor> outputs) {
        answers.addAll(outputs);
      }

      @Override
      public void failed(NoAnswer why) {
        throw new AssertionError(why);
      }
    };
  }

  // --- trouble --------------------------------------------------------------------------------------------------------

  @Test
  void aBadRequestDoesNotFailItsMates() {
    rig = QueueRig.batching(1, 8, 0);
    rig.model =
        (inputs, control) -> {
          for (float value : Tensors.floats(inputs.getFirst())) {
            if (value == 13) {
              throw new ModelExecutionException(Kind.FAILED, "thirteen");
            }
            if (value == 14) {
              throw new IllegalStateException("fourteen");
            }
          }
          return QueueRig.doubled(inputs, control);
        };
    for (float value : new float[] {0, 1, 13, 2, 14, 3}) {
      rig.submit(value);
    }
    rig.runAllThreads();
    assertThat(rig.ends)
        .containsExactly(
            "0 -> 0",
            "1 -> 2",
            "13: thirteen",
            "2 -> 4",
            "14: java.lang.IllegalStateException: fourteen",
            "3 -> 6");
    assertThat(rig.version.statistics().snapshot().failure(FailureReason.BACKEND).count()).isEqualTo(2);
    assertThat(rig.version.statistics().snapshot().inferenceCount()).isEqualTo(4);
  }

  @Test
  void aModelThatDoesNotAnswerRowByRowIsNotBatchedAnyMore() {
    rig = QueueRig.batching(1, 8, 0);
    rig.model =
        (inputs, control) -> {
          float sum = 0;
          for (float value : Tensors.floats(inputs.getFirst())) {
            sum += value;
          }
          return List.of(Tensors.floats("y", Shape.of(1, 1), sum));
        };
    for (int i = 0; i < 4; i++) {
      rig.submit(i);
    }
    rig.runAllThreads();
    assertThat(rig.batches()).containsExactly(1L, 3L, 1L, 1L, 1L);
    assertThat(rig.ends).containsExactly("0 -> 0", "1 -> 1", "2 -> 2", "3 -> 3");
    for (int i = 4; i < 8; i++) {
      rig.submit(i);
    }
    rig.runAllThreads();
    assertThat(rig.batches().subList(5, 9)).containsOnly(1L);
  }

  @Test
  void aBatchIsStoppedWhenTheLastOfItsCallersHasGone() {
    rig = QueueRig.batching(1, 8, 0);
    List<QueuedRequest> requests = new ArrayList<>();
    List<Boolean> stopped = new ArrayList<>();
    rig.model =
        (inputs, control) -> {
          if (inputs.getFirst().shape().dim(0) == 3) {
            requests.get(1).cancel();
            requests.get(3).cancel();
            stopped.add(control.isTerminated());
            requests.get(2).cancel();
            stopped.add(control.isTerminated());
            throw new ModelExecutionException(Kind.TERMINATED, "stopped");
          }
          return QueueRig.doubled(inputs, control);
        };
    for (int i = 0; i < 4; i++) {
      requests.add(rig.submit(i));
    }
    rig.runAllThreads();
    assertThat(stopped).containsExactly(false, true);
    assertThat(rig.ends).containsExactly("0 -> 0", "1: withdrawn", "3: withdrawn", "2: withdrawn");
    assertThat(rig.version.statistics().snapshot().failure(FailureReason.CANCELED).count()).isEqualTo(3);
  }

  @Test
  void whoWasNotWantedBeforeTheRunIsNotWaitedForInIt() {
    rig = QueueRig.batching(1, 8, 0);
    List<QueuedRequest> requests = new ArrayList<>();
    List<Boolean> stopped = new ArrayList<>();
    rig.unwanted.add("1");
    rig.model =
        (inputs, control) -> {
          if (inputs.getFirst().shape().dim(0) == 2) {
            requests.get(2).cancel();
            requests.get(3).cancel();
            stopped.add(control.isTerminated());
          }
          return QueueRig.doubled(inputs, control);
        };
    for (int i = 0; i < 4; i++) {
      requests.add(rig.submit(i));
    }
    rig.runAllThreads();
    assertThat(stopped).containsExactly(true);
    assertThat(rig.ends).containsExactly("0 -> 0", "1: withdrawn", "2: withdrawn", "3: withdrawn");
  }

  @Test
  void aCallerWhoGoesDoesNotTakeTheOthersAlong() {
    rig = QueueRig.batching(1, 8, 0);
    List<QueuedRequest> requests = new ArrayList<>();
    rig.model =
        (inputs, control) -> {
          if (inputs.getFirst().shape().dim(0) == 2) {
            requests.get(1).cancel();
          }
          return QueueRig.doubled(inputs, control);
        };
    for (int i = 0; i < 3; i++) {
      requests.add(rig.submit(i));
    }
    rig.runAllThreads();
    assertThat(rig.ends).containsExactly("0 -> 0", "1: withdrawn", "2 -> 4");
    assertThat(rig.version.statistics().snapshot().inferenceCount()).isEqualTo(2);
  }

  @Test
  void aCallerWhoFailsOnItsAnswerHarmsNobody() {
    rig = QueueRig.batching(1, 8, 0);
    rig.submit(0);
    assertThat(rig.version.tryAcquire()).isTrue();
    QueuedRequest.Completion failing =
        new QueuedRequest.Completion() {
          @Override
          public boolean isWanted() {
            return true;
          }

          @Override
          public void succeeded(List<Tensor> outputs) {
            throw new IllegalStateException("the caller's own fault");
          }

          @Override
          public void failed(NoAnswer why) {}
        };
    rig.queue.request(List.of(Tensors.floats("x", Shape.of(1, 1), 1)), List.of("y"), 0, 0, 0, failing).submit();
    rig.submit(2);
    rig.runAllThreads();
    assertThat(rig.ends).containsExactly("0 -> 0", "2 -> 4");
  }

  // --- order ----------------------------------------------------------------------------------------------------------

  @Test
  void answersKeepTheirOrderWhereTheVersionSaysSo() {
    rig = new QueueRig(3, new Batching(1, List.of(), 0, true), Priorities.none());
    for (int i = 0; i < 4; i++) {
      rig.submit(i);
    }
    rig.threads.addLast(rig.threads.removeFirst());
    rig.runThread();
    assertThat(rig.ends).as("1 and 3 have run, 0 has not").isEmpty();
    rig.runThread();
    assertThat(rig.ends).isEmpty();
    rig.runThread();
    assertThat(rig.ends).containsExactly("0 -> 0", "1 -> 2", "2 -> 4", "3 -> 6");
  }

  @Test
  void aCallerWhoHasGoneHoldsNoAnswerUp() {
    rig = new QueueRig(3, new Batching(1, List.of(), 0, true), Priorities.none());
    QueuedRequest first = rig.submit(0);
    rig.submit(1);
    rig.threads.addLast(rig.threads.removeFirst());
    rig.runThread();
    assertThat(rig.ends).isEmpty();
    first.cancel();
    assertThat(rig.ends).containsExactly("0: withdrawn", "1 -> 2");
  }

  // --- everything at once ---------------------------------------------------------------------------------------------

  /// Random versions and random histories: every request ends exactly once and rightly, and the bounds hold throughout.
  @Test
  void whateverHappensEachRequestEndsOnceAndTheBoundsHold() {
    for (int round = 0; round < 3_000; round++) {
      long seed = System.nanoTime() + round;
      try {
        simulate(new Random(seed));
      } catch (AssertionError | RuntimeException e) {
        throw new AssertionError("seed " + seed, e);
      }
      everyLeaseIsBackAndNothingWaits();
    }
  }

  private void simulate(Random random) {
    int instances = 1 + random.nextInt(3);
    int sizeMax = 1 + random.nextInt(6);
    long timeout = random.nextBoolean() ? 0 : 1 + random.nextInt(200);
    TimeoutAction action = random.nextBoolean() ? TimeoutAction.REJECT : TimeoutAction.DELAY;
    int levels = random.nextInt(3);
    QueuePolicy policy = new QueuePolicy(action, timeout, random.nextBoolean(), sizeMax);
    Batching batching =
        random.nextInt(4) == 0
            ? null
            : new Batching(1 + random.nextInt(5), List.of(), random.nextInt(2) * 50L, random.nextBoolean());
    rig = new QueueRig(instances, batching, new Priorities(levels, Math.min(levels, 1), policy, Map.of()));
    rig.model =
        (inputs, control) -> {
          for (float value : Tensors.floats(inputs.getFirst())) {
            if (value % 17 == 0) {
              throw new ModelExecutionException(Kind.FAILED, "bad");
            }
          }
          return QueueRig.doubled(inputs, control);
        };
    List<QueuedRequest> requests = new ArrayList<>();
    for (int step = 0; step < 60; step++) {
      switch (random.nextInt(6)) {
        case 0, 1, 2 -> requests.add(rig.submit(1 + requests.size(), random.nextInt(4), random.nextInt(100)));
        case 3 -> rig.time.advance(random.nextInt(80));
        case 4 -> {
          if (!rig.threads.isEmpty()) {
            rig.runThread();
          }
        }
        case 5 -> {
          if (!requests.isEmpty()) {
            requests.get(random.nextInt(requests.size())).cancel();
          }
        }
        default -> throw new AssertionError();
      }
      assertThat(rig.threads).hasSizeLessThanOrEqualTo(instances);
      assertThat(rig.queue.waiting()).isLessThanOrEqualTo(sizeMax * Math.max(1, levels));
      assertThat(rig.version.statistics().snapshot().pendingRequests()).isEqualTo(rig.queue.waiting());
    }
    rig.time.advance(10_000);
    rig.runAllThreads();
    rig.time.advance(10_000);
    rig.runAllThreads();
    assertThat(rig.ends).hasSameSizeAs(requests);
    for (int number = 1; number <= requests.size(); number++) {
      String name = number + " ";
      String failed = number + ": ";
      List<String> own = rig.ends.stream().filter(end -> end.startsWith(name) || end.startsWith(failed)).toList();
      assertThat(own).hasSize(1);
      if (own.getFirst().startsWith(name)) {
        assertThat(own.getFirst()).isEqualTo("%d -> %d".formatted(number, 2 * number));
      } else if (own.getFirst().endsWith("bad")) {
        assertThat(number % 17).isZero();
      }
    }
    rig.time.advance(10_000);
    assertThat(rig.time.alarms()).isZero();
  }
}
