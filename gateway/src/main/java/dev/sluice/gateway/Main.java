package dev.sluice.gateway;

import dev.sluice.gateway.bench.BenchCommand;
import dev.sluice.gateway.cli.ServeCommand;
import dev.sluice.gateway.cli.SluiceCommand;
import dev.sluice.gateway.demo.DemoCommand;
import dev.sluice.gateway.demo.PrepareCommand;
import dev.sluice.loadtest.LoadTestCommand;
import org.slf4j.bridge.SLF4JBridgeHandler;

/// Where the process begins: the arguments go to the command line, and its answer becomes the exit code.
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    // gRPC writes to Java's own log; it belongs where everything else is written, in the same form.
    SLF4JBridgeHandler.removeHandlersForRootLogger();
    SLF4JBridgeHandler.install();
    System.exit(
        SluiceCommand.commandLine(
                new ServeCommand(), new LoadTestCommand(), new BenchCommand(), new DemoCommand(), new PrepareCommand())
            .execute(args));
  }
}
