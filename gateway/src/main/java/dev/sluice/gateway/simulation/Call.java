package dev.sluice.gateway.simulation;

import dev.sluice.router.assignment.Attributes;
import org.jspecify.annotations.Nullable;

/// One request, and how each version would run it. Which of that happens is the router's to decide.
///
/// @param atMillis when it comes in
/// @param key the sticky key; null for a request without one
/// @param disagrees whether the candidate's answer disagrees with the baseline's
/// @param difference how far apart they are, from 0 to 1
/// @param repeatNanos a second run of the baseline
/// @param repeatDisagrees whether its answer disagrees with the first
/// @param loss the candidate's loss less the baseline's, known at once; not a number if it never will be
record Call(
    long atMillis,
    @Nullable String key,
    Attributes attributes,
    Run baseline,
    Run candidate,
    boolean disagrees,
    double difference,
    long repeatNanos,
    boolean repeatDisagrees,
    double loss) {

  /// One version's run.
  static final class Run {
    private final boolean ok;
    private final boolean crash;
    private final long nanos;
    private final double[] measured;

    /// @param measured by rule, what a drift rule would see of it in the rule's unit; not a number where that is nothing
    Run(boolean ok, boolean crash, long nanos, double[] measured) {
      this.ok = ok && !crash;
      this.crash = crash;
      this.nanos = nanos;
      this.measured = measured;
    }

    /// Whether there was a good answer in the end.
    boolean ok() {
      return ok;
    }

    /// Whether the runtime broke down.
    boolean crash() {
      return crash;
    }

    long nanos() {
      return nanos;
    }

    double measured(int rule) {
      return measured[rule];
    }
  }
}
