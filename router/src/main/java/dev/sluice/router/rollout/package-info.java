/// The plan of a release and the pure state machine that moves along it.
/// Nothing here acts: a transition is a value that the control plane writes down and applies.
@NullMarked
package dev.sluice.router.rollout;

import org.jspecify.annotations.NullMarked;
