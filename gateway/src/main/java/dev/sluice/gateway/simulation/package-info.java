/// Rollouts before they happen: a note driven through the real router in virtual time, and what its rules can be expected to see.
/// Nothing here serves requests, reads a clock or starts a thread; chance comes from a seed.
@NullMarked
package dev.sluice.gateway.simulation;

import org.jspecify.annotations.NullMarked;
