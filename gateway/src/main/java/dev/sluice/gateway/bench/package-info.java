/// The bench: what Sluice costs, each figure measured beside what it is held against, in one run.
/// Nothing on the way of a request lives here, and nothing that runs when no bench is asked for.
@NullMarked
package dev.sluice.gateway.bench;

import org.jspecify.annotations.NullMarked;
