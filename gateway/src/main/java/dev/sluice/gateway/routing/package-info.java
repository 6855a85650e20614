/// The way of one request from a model's name to an answer: the live table, lanes, the candidate with the baseline behind it,
/// and the shadow. It does what the router decides and decides nothing itself.
@NullMarked
package dev.sluice.gateway.routing;

import org.jspecify.annotations.NullMarked;
