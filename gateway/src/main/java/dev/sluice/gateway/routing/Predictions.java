package dev.sluice.gateway.routing;

import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.rollout.RolloutNote.LabelPlan;
import dev.sluice.router.rollout.RolloutNote.LabelPlan.Missing;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// What both variants said about requests whose truth is still to come, by the caller's id of the request.
///
/// A request is judged when it is as old as the note's horizon, with the first label that has come by then: a label that comes
/// early does not count early, or events that are reported fast would weigh more than those that never happen. What waits is
/// bounded; when it is full the newest is not remembered, whatever was said about it. It does not outlive the process, which
/// costs evidence and gives none.
///
/// Off the way of live requests: the shadow, the control plane and the clock meet here under a lock.
final class Predictions {

  /// The most requests that wait for the truth.
  static final int WAITING_MAX = 100_000;

  private static final class Waiting {
    final Assignment assignment;
    final double baseline;
    final double candidate;
    final long sinceMillis;
    double truth = Double.NaN;

    Waiting(Assignment assignment, double baseline, double candidate, long sinceMillis) {
      this.assignment = assignment;
      this.baseline = baseline;
      this.candidate = candidate;
      this.sinceMillis = sinceMillis;
    }
  }

  private final LabelPlan plan;

  /// In the order of dispatch.
  private final Map<String, Waiting> waiting = new LinkedHashMap<>();

  private long notRemembered;

  Predictions(LabelPlan plan) {
    this.plan = plan;
  }

  LabelPlan plan() {
    return plan;
  }

  /// @param requestId a request without an id cannot be labelled; of several with the same id the first one can
  /// @param baseline the probability that the baseline gave, `candidate` the candidate's; not a number: not remembered
  synchronized void remember(
      String requestId, Assignment assignment, double baseline, double candidate, long nowMillis) {
    if (requestId.isEmpty() || Double.isNaN(baseline) || Double.isNaN(candidate)) {
      return;
    }
    if (waiting.size() >= WAITING_MAX) {
      notRemembered++;
      return;
    }
    waiting.putIfAbsent(requestId, new Waiting(assignment, clip(baseline), clip(candidate), nowMillis));
  }

  private static double clip(double probability) {
    return Math.clamp(probability, 0.0, 1.0);
  }

  /// @param truth 1 if the event came about, 0 if it did not
  synchronized LabelOutcome label(String requestId, double truth) {
    Waiting prediction = waiting.get(requestId);
    if (prediction == null) {
      return LabelOutcome.UNKNOWN;
    }
    if (!Double.isNaN(prediction.truth)) {
      return LabelOutcome.KNOWN;
    }
    prediction.truth = truth;
    return LabelOutcome.TAKEN;
  }

  /// The requests whose horizon is over, in the order of their dispatch: how much larger the candidate's squared error was
  /// (the difference of Brier scores; Choe and Ramdas, "Comparing sequential forecasters", Operations Research 72 (2024)).
  synchronized List<Observation.Labelled> mature(long nowMillis) {
    List<Observation.Labelled> judged = new ArrayList<>();
    for (Iterator<Waiting> oldest = waiting.values().iterator(); oldest.hasNext(); ) {
      Waiting prediction = oldest.next();
      if (nowMillis - prediction.sinceMillis < plan.horizonMillis()) {
        break;
      }
      oldest.remove();
      double truth =
          Double.isNaN(prediction.truth) && plan.missing() == Missing.NEGATIVE ? 0 : prediction.truth;
      if (!Double.isNaN(truth)) {
        double worse = square(prediction.candidate - truth) - square(prediction.baseline - truth);
        judged.add(new Observation.Labelled(prediction.assignment, worse));
      }
    }
    return judged;
  }

  private static double square(double value) {
    return value * value;
  }

  synchronized int size() {
    return waiting.size();
  }

  synchronized long notRemembered() {
    return notRemembered;
  }
}
