/// Whole rollouts through the real router in virtual time, and the arithmetic that says how many alarms are too many.
/// Nothing here is a stand-in for a part of the router: only the callers and the two models are made up.
@NullMarked
package dev.sluice.router.simulation;

import org.jspecify.annotations.NullMarked;
