package dev.sluice.router.rollout;

import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.rollout.RolloutNote.BlastRadius;
import dev.sluice.router.rollout.RolloutNote.FallbackPath;
import dev.sluice.router.rollout.RolloutNote.Mode;
import dev.sluice.router.rollout.RolloutNote.Promotion;
import dev.sluice.router.rollout.RolloutNote.StickyKey;
import dev.sluice.router.stop.StopRule;
import dev.sluice.router.stop.StopRule.ErrorRate;
import dev.sluice.router.stop.StopRule.Scope;
import java.util.List;
import java.util.Map;

/// Notes as owners write them, for tests that care about a few of their lines.
public final class ExampleNotes {

  public static final long COOL_DOWN_MILLIS = 60_000;

  private ExampleNotes() {}

  public static RolloutNote note(
      List<String> segments, List<Step> steps, List<StopRule> rules, double alpha, int blastRadius, Promotion promotion) {
    return note(segments, steps, rules, alpha, blastRadius, promotion, 0);
  }

  /// @param repeatBasisPoints of the shadowed requests this share is run by the baseline a second time
  public static RolloutNote note(
      List<String> segments, List<Step> steps, List<StopRule> rules, double alpha, int blastRadius, Promotion promotion,
      int repeatBasisPoints) {
    return new RolloutNote(
        "fraud-7", "fraud", "ada", 6, 7, StickyKey.KEY, segments.stream().map(SegmentRule::parse).toList(), Map.of(),
        steps, rules, alpha, new FallbackPath(0.5, 1_000), new BlastRadius(blastRadius, List.of()), promotion,
        COOL_DOWN_MILLIS, null, repeatBasisPoints, Mode.LIVE, null);
  }

  static RolloutNote note(List<Step> steps, int blastRadius, Promotion promotion) {
    return note(
        List.of("country=DE", "tier=vip"), steps, List.of(new ErrorRate(0.01, Scope.ALL)), 0.001, blastRadius, promotion);
  }
}
