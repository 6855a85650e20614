package dev.sluice.gateway;

/// Why a gateway could not be started, in one sentence that names the setting, the value and what was expected.
public final class StartFailure extends Exception {
  public StartFailure(String message) {
    super(message);
  }
}
