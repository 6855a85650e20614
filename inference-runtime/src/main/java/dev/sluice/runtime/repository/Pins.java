package dev.sluice.runtime.repository;

import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

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
  /// @param reasons by the move that each forbids, for people, as in "version 2 of model 'm' stays: it is ..."
  record Pin(Map<Move, String> reasons) {
    public Pin {
      reasons = Map.copyOf(reasons);
    }

    public Pin(Set<Move> forbidden, String by) {
      this(forbidden.stream().collect(Collectors.toMap(Function.identity(), _ -> by)));
    }

    public boolean forbids(Move move) {
      return reasons.containsKey(move);
    }

    /// What stands against a move that is forbidden.
    public String by(Move move) {
      return Objects.requireNonNull(reasons.get(move));
    }

    /// What either forbids; where both do, in the words of this one.
    public Pin and(Pin other) {
      Map<Move, String> both = new HashMap<>(other.reasons);
      both.putAll(reasons);
      return new Pin(both);
    }
  }
}
