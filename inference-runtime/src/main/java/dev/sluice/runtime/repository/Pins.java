package dev.sluice.runtime.repository;

import java.util.EnumSet;
import java.util.Map;
import java.util.Set;

/// What somebody outside the repository relies on: versions that policy, poll and unload leave where they are.
@FunctionalInterface
public interface Pins {
  /// Nobody relies on anything.
  Pins NONE = model -> Map.of();

  /// The pinned versions of a model, whether they are loaded or not. Called often and under the model's lock: it has
  /// to be quick, and must not call the repository back.
  Map<Long, Pin> of(String model);

  /// What may be done to a version.
  enum Move {
    /// The version policy or a look at the folders takes it away.
    POLICY,
    /// Somebody unloads it by its number.
    UNLOAD,
    /// Somebody unloads its whole model.
    UNLOAD_OF_MODEL,
    /// Another edition of it takes its place.
    REPLACEMENT
  }

  /// Why a version stays.
  ///
  /// @param by for people, as in "version 2 of model 'm' stays: it is ..."
  record Pin(Set<Move> forbidden, String by) {
    public Pin {
      forbidden = Set.copyOf(forbidden);
    }

    public boolean forbids(Move move) {
      return forbidden.contains(move);
    }

    /// What both forbid, in the words of the one that forbids more.
    public Pin and(Pin other) {
      Set<Move> both = EnumSet.copyOf(forbidden);
      both.addAll(other.forbidden);
      return new Pin(both, forbidden.size() >= other.forbidden.size() ? by : other.by);
    }
  }
}
