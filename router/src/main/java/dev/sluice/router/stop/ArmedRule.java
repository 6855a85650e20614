package dev.sluice.router.stop;

import dev.sluice.router.statistics.EProcess;

/// One test of a stop rule at work in one place, with the share of the rollout's alpha that it may spend there.
///
/// @param rule index into the rollout's rules
/// @param part index of the test within its rule, such as one of several latency quantiles
/// @param segment index into the rollout's segments, or [#OVERALL]
/// @param share of alpha; 0 for a test that never stops a rollout on its own
/// @param at where its state begins
public record ArmedRule(int rule, int part, int segment, double share, EProcess test, int at) {

  public static final int OVERALL = -1;
}
