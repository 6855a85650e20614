package dev.sluice.gateway.simulation;

import org.jspecify.annotations.Nullable;

/// Requests one after the other.
interface Calls {

  /// The next one, no earlier than the one before; null after the last.
  @Nullable Call next();
}
