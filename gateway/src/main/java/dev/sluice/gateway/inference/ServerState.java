package dev.sluice.gateway.inference;

/// Where the server stands between its start and its end.
public enum ServerState {
  STARTING,
  READY,
  /// What is in flight still ends; nothing new begins.
  EXITING
}
