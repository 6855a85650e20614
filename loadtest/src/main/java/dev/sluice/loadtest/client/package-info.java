/// The connections and two ways to drive them: an open loop (a schedule decides when) and a closed one (answers do).
/// What is sent comes from `traffic`, when from `schedule`; figures are only collected here, and `report` judges them.
@NullMarked
package dev.sluice.loadtest.client;

import org.jspecify.annotations.NullMarked;
