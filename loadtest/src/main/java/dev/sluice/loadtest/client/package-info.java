/// The connections and the two ways to drive them: an open loop (a schedule decides when) and a closed loop (the answers do).
/// What is sent comes from `traffic`, when from `schedule`; figures are only collected here and put into words by `report`.
@NullMarked
package dev.sluice.loadtest.client;

import org.jspecify.annotations.NullMarked;
