/// How much the faces take in: bytes in flight, all callers of all faces together, and how busy the machine is.
/// What waits for one version is bounded by that version's queue; no request is routed or answered here.
@NullMarked
package dev.sluice.gateway.admission;

import org.jspecify.annotations.NullMarked;
