package dev.sluice.runtime.repository;

import java.util.Map;

/// What somebody outside the repository relies on: versions that policy, poll and unload leave where they are.
@FunctionalInterface
public interface Pins {
  /// Nobody relies on anything.
  Pins NONE = model -> Map.of();

  /// The pinned versions of a model, whether they are loaded or not. Called often and under the model's lock: it has
  /// to be quick, and must not call the repository back.
  Map<Long, Pin> of(String model);

  /// Why a version stays.
  ///
  /// @param by for people, as in "version 2 of model 'm' stays: it is ..."
  record Pin(Strength strength, String by) {
    /// Each one forbids what those before it forbid.
    public enum Strength {
      /// The version policy and the poll leave it alone.
      AGAINST_POLICY,
      /// It is not unloaded by its number either.
      AGAINST_UNLOAD,
      /// Nor together with its whole model.
      AGAINST_UNLOAD_OF_MODEL,
      /// Nor is it replaced by another edition of itself.
      AGAINST_REPLACEMENT
    }

    public boolean forbids(Strength what) {
      return strength.compareTo(what) >= 0;
    }
  }
}
