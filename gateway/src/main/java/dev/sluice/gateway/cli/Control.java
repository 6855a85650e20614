package dev.sluice.gateway.cli;

import java.time.Duration;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;

/// The options with which every command finds the control API.
final class Control {
  @Option(
      names = "--server",
      defaultValue = "${env:SLUICE_CONTROL:-127.0.0.1:8003}",
      scope = ScopeType.INHERIT,
      paramLabel = "HOST:PORT",
      description = "Control API (default: $SLUICE_CONTROL, else 127.0.0.1:8003).")
  private String server = "";

  @Option(
      names = "--timeout",
      defaultValue = "10s",
      converter = DurationText.class,
      scope = ScopeType.INHERIT,
      paramLabel = "DURATION",
      description = "How long to wait for the answer, as 500ms, 10s or 2m (default: ${DEFAULT-VALUE}).")
  private Duration timeout = Duration.ZERO;

  Connection open() {
    return Connection.open(server, timeout);
  }
}
