package dev.sluice.gateway.cli;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import dev.sluice.gateway.cli.picture.Terminal;
import java.io.PrintWriter;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/// Where a command's answer goes and in which form. Standard output is for data, standard error for talk.
final class Output {
  // In lower case, because these names are what a person types.
  enum Format { table, json }

  @Option(
      names = {"-o", "--output"},
      defaultValue = "table",
      scope = ScopeType.INHERIT,
      paramLabel = "FORMAT",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private Format format = Format.table;

  @Spec(Spec.Target.MIXEE)
  private CommandSpec command = CommandSpec.create();

  boolean json() {
    return format == Format.json;
  }

  PrintWriter out() {
    return command.commandLine().getOut();
  }

  PrintWriter err() {
    return command.commandLine().getErr();
  }

  Terminal terminal() {
    return ((SluiceCommand) command.root().userObject()).terminal();
  }

  void print(List<String> lines) {
    lines.forEach(out()::println);
    out().flush();
  }

  void print(Message message) {
    print(message, JsonFormat.printer());
  }

  /// One line per message, for streams.
  void printLine(Message message) {
    print(message, JsonFormat.printer().omittingInsignificantWhitespace());
  }

  private void print(Message message, JsonFormat.Printer printer) {
    try {
      // Zeros too: a script that reads a weight of 0 must find it.
      out().println(printer.alwaysPrintFieldsWithNoPresence().print(message));
      out().flush();
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("the answer cannot be written as JSON", e);
    }
  }
}
