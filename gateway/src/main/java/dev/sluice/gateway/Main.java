package dev.sluice.gateway;

import dev.sluice.gateway.cli.ServeCommand;
import dev.sluice.gateway.cli.SluiceCommand;
import dev.sluice.gateway.demo.DemoCommand;
import dev.sluice.loadtest.LoadTestCommand;

/// Where the process begins: the arguments go to the command line, and its answer becomes the exit code.
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    System.exit(SluiceCommand.commandLine(new ServeCommand(), new LoadTestCommand(), new DemoCommand()).execute(args));
  }
}
