/// What completed calls teach, and the histograms and counters that remember it for people to read.
/// Nothing here decides: the stop rules look at the same observations on their own.
@NullMarked
package dev.sluice.router.observation;

import org.jspecify.annotations.NullMarked;
