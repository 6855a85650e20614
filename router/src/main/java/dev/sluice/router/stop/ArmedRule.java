package dev.sluice.router.stop;

import dev.sluice.router.statistics.BoundaryTable;

/// One stop rule at work in one place, with the share of the rollout's alpha that it may spend there.
///
/// @param rule index into the rollout's rules
/// @param segment index into the rollout's segments, or [#OVERALL]
public record ArmedRule(int rule, int segment, double alphaShare, BoundaryTable table) {

  public static final int OVERALL = -1;
}
