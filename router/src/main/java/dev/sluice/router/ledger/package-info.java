/// The words in memory that a rollout lives in: its exposure, and the counters that its stop rules decide on.
/// Nothing here chooses where that memory is, or what happens after a flip.
@NullMarked
package dev.sluice.router.ledger;

import org.jspecify.annotations.NullMarked;
