/// When each request is due: arrival times as pure functions of a rate and a seed.
/// Nothing here reads a clock, waits or sends.
@NullMarked
package dev.sluice.loadtest.schedule;

import org.jspecify.annotations.NullMarked;
