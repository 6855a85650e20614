package dev.sluice.gateway.inference;

/// Where the server stands between its start and its end.
public enum ServerState {
  STARTING,
  READY,
  /// It answers what it still can, and only a restart brings the rest back.
  FAULTY,
  /// What is in flight still ends; nothing new begins.
  EXITING
}
