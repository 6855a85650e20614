package dev.sluice.runtime.repository;

/// Who decides which models are loaded, in Triton's three modes.
public enum ControlMode {
  /// What the version policies name is loaded at start, and stays.
  NONE,
  /// As above; what changes in the directory afterwards is loaded, replaced and unloaded.
  POLL,
  /// Models are loaded and unloaded as callers ask for it.
  EXPLICIT
}
