package dev.sluice.gateway.cli;

import dev.sluice.gateway.cli.picture.Terminal;
import java.io.BufferedWriter;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.stream.Stream;
import picocli.CommandLine;

/// What came of a command line that somebody typed.
record Typed(int exitCode, String out, String err) {

  static Typed sluice(String... arguments) {
    return sluice(Terminal.none(), arguments);
  }

  static Typed sluice(Terminal terminal, String... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    CommandLine sluice = SluiceCommand.commandLine(terminal)
        // Buffered, as standard output is: what a command does not flush is lost.
        .setOut(new PrintWriter(new BufferedWriter(out)))
        .setErr(new PrintWriter(err, true));
    return new Typed(sluice.execute(arguments), out.toString(), err.toString());
  }

  /// A command to the control API of that server.
  static Typed sluice(CannedServer server, String... arguments) {
    return sluice(Stream.concat(Stream.of(arguments), Stream.of("--server", server.address())).toArray(String[]::new));
  }

  List<String> lines() {
    return out.lines().toList();
  }
}
