package dev.sluice.gateway.cli;

import picocli.CommandLine.Option;

/// Who asks for a change.
final class Actor {
  @Option(
      names = "--actor",
      defaultValue = "${sys:user.name}",
      paramLabel = "NAME",
      description = "Kept in the audit trail (default: ${DEFAULT-VALUE}).")
  String name = "";
}
