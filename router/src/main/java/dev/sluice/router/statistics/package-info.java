/// The mathematics of the stop rules: e-processes and their integer boundary tables, each with the paper it comes from.
/// Nothing here knows what is being counted or what happens when a boundary is crossed.
@NullMarked
package dev.sluice.router.statistics;

import org.jspecify.annotations.NullMarked;
