package dev.sluice.gateway;

import dev.sluice.gateway.cli.SluiceCommand;

/// Where the process begins: the arguments go to the command line, and its answer becomes the exit code.
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    // Commands that run a server join the client commands here: SluiceCommand.commandLine(new ServeCommand(), ...).
    System.exit(SluiceCommand.commandLine().execute(args));
  }
}
