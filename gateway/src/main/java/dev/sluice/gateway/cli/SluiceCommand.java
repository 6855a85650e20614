package dev.sluice.gateway.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.sluice.gateway.cli.picture.Terminal;
import java.io.PrintWriter;
import java.util.Optional;
import picocli.AutoComplete.GenerateCompletion;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.HelpCommand;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/// The root of the command line, `sluice`. It does nothing itself: every command is a subcommand.
@Command(
    name = "sluice",
    description = "Serves models, and lets a new version in a little at a time.",
    versionProvider = SluiceCommand.Version.class,
    synopsisSubcommandLabel = "COMMAND",
    subcommands = {
      InferCommand.class, ModelsCommand.class, NoteCommand.class, RolloutCommand.class, HelpCommand.class,
      GenerateCompletion.class
    },
    footerHeading = "%nExit codes%n",
    footer = {
      "  0  done",
      "  1  failed",
      "  2  wrong usage, or an invalid rollout note or input",
      "  3  not found",
      "  4  conflict: exists already, or the revision is not the expected one",
      "  5  denied",
      "  6  refused: the rollout or the model is not in a state that allows it",
      "  7  timed out or unreachable"
    })
public final class SluiceCommand {
  private final Terminal terminal;

  private SluiceCommand(Terminal terminal) {
    this.terminal = terminal;
  }

  /// The whole command line, ready to execute.
  ///
  /// @param more further commands, each an object annotated with [Command]; they fail and exit like the client commands
  public static CommandLine commandLine(Object... more) {
    // UTF-8 whatever the locale: a container without one would print the picture and every name as question marks.
    return commandLine(Terminal.detect(), more)
        .setOut(new PrintWriter(System.out, false, UTF_8))
        .setErr(new PrintWriter(System.err, true, UTF_8));
  }

  static CommandLine commandLine(Terminal terminal, Object... more) {
    CommandLine sluice = new CommandLine(new SluiceCommand(terminal));
    for (Object command : more) {
      sluice.addSubcommand(command);
    }
    sluice.getCommandSpec().addOption(
        OptionSpec.builder("-V", "--version").versionHelp(true).description("Show the version.").build());
    offerHelp(sluice);
    // Only now: these settings reach the subcommands that exist already.
    return sluice
        .setUsageHelpAutoWidth(terminal.interactive())
        .setParameterExceptionHandler(Failures::ofParameters)
        .setExecutionExceptionHandler(Failures::ofExecution);
  }

  /// An option inherited from the root would clash with the commands that come with picocli, which have their own.
  private static void offerHelp(CommandLine command) {
    CommandSpec spec = command.getCommandSpec();
    if (spec.findOption("--help") == null) {
      spec.addOption(OptionSpec.builder("-h", "--help").usageHelp(true).description("Show this help.").build());
    }
    command.getSubcommands().values().forEach(SluiceCommand::offerHelp);
  }

  Terminal terminal() {
    return terminal;
  }

  /// The version that the build wrote into the jar's manifest.
  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      Optional<String> version = Optional.ofNullable(SluiceCommand.class.getPackage().getImplementationVersion());
      return new String[] {
        "sluice " + version.orElse("(unpackaged build)"),
        "Java " + Runtime.version() + ", " + System.getProperty("os.name") + " " + System.getProperty("os.arch")
      };
    }
  }
}
