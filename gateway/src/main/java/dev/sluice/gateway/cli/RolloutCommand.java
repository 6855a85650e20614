package dev.sluice.gateway.cli;

import com.google.protobuf.Timestamp;
import com.google.rpc.BadRequest.FieldViolation;
import dev.sluice.gateway.cli.Failures.InvalidInput;
import dev.sluice.gateway.cli.picture.Figures;
import dev.sluice.gateway.cli.picture.LivePicture;
import dev.sluice.gateway.cli.picture.RolloutPicture;
import dev.sluice.gateway.cli.report.ReportDocument;
import dev.sluice.gateway.control.ControlFailure;
import dev.sluice.gateway.control.Records;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.proto.control.v1.CreateRolloutRequest;
import dev.sluice.proto.control.v1.Event;
import dev.sluice.proto.control.v1.GetReportRequest;
import dev.sluice.proto.control.v1.GetRolloutRequest;
import dev.sluice.proto.control.v1.Label;
import dev.sluice.proto.control.v1.ListEventsRequest;
import dev.sluice.proto.control.v1.ListEventsResponse;
import dev.sluice.proto.control.v1.ListRolloutsRequest;
import dev.sluice.proto.control.v1.ListRolloutsResponse;
import dev.sluice.proto.control.v1.PauseRolloutRequest;
import dev.sluice.proto.control.v1.PromoteRolloutRequest;
import dev.sluice.proto.control.v1.ReportLabelsRequest;
import dev.sluice.proto.control.v1.ReportLabelsResponse;
import dev.sluice.proto.control.v1.Replay;
import dev.sluice.proto.control.v1.ReplayRolloutRequest;
import dev.sluice.proto.control.v1.ResumeRolloutRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutReport;
import dev.sluice.proto.control.v1.RolloutServiceGrpc;
import dev.sluice.proto.control.v1.RolloutServiceGrpc.RolloutServiceBlockingStub;
import dev.sluice.proto.control.v1.SetWeightRequest;
import dev.sluice.proto.control.v1.WatchRolloutRequest;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `sluice rollout`: a release from its note to its end.
@Command(name = "rollout", description = "Creates, follows and steers rollouts.")
final class RolloutCommand {
  /// What a server takes in one call.
  private static final int LABELS_AT_ONCE = 10_000;

  @Mixin
  private Control control = new Control();

  @Mixin
  private Output output = new Output();

  /// Who asks for a change, and why.
  static final class Change {
    @Mixin
    private Actor actor = new Actor();

    @Option(names = "--reason", defaultValue = "", paramLabel = "TEXT", description = "Kept in the audit trail.")
    private String reason = "";
  }

  static final class ExpectedRevision {
    @Option(
        names = "--expected-revision",
        defaultValue = "0",
        paramLabel = "N",
        description = "Change nothing (exit code 4) if the rollout has another revision by now.")
    private long revision;
  }

  @Command(description = "Starts a rollout from a rollout note.")
  int create(
      @Option(names = {"-f", "--file"}, required = true, paramLabel = "NOTE", description = "The note, YAML.")
      Path file,
      @Option(names = "--validate-only", description = "Check everything, change nothing.") boolean validateOnly,
      @Mixin Actor actor)
      throws IOException {
    return create(
        control.open(), file, validateOnly, actor.name,
        rollout -> {
          if (validateOnly) {
            output.err().println("sluice: %s is valid; nothing was changed".formatted(file));
          }
          print(rollout);
        },
        output);
  }

  /// Asks a server whether it would take a note. Nothing is printed if it would.
  static int validate(Connection connection, Path file, Output output) throws IOException {
    return create(connection, file, true, "", null, output);
  }

  private static int create(
      Connection opened, Path file, boolean validateOnly, String actor, @Nullable Consumer<Rollout> created, Output output)
      throws IOException {
    try (Connection connection = opened) {
      Rollout rollout =
          rollouts(connection)
              .createRollout(
                  CreateRolloutRequest.newBuilder().setNote(read(file)).setValidateOnly(validateOnly).setActor(actor).build());
      if (created != null) {
        created.accept(rollout);
      }
      return 0;
    } catch (StatusRuntimeException e) {
      List<FieldViolation> problems = Failures.fieldViolations(e);
      if (problems.isEmpty()) {
        throw e;
      }
      problems.forEach(p -> output.err().println("%s: %s: %s".formatted(file, p.getField(), p.getDescription())));
      return Failures.exitCode(e.getStatus().getCode());
    }
  }

  @Command(description = "Shows a rollout.")
  int get(@Parameters(paramLabel = "NAME") String name) {
    return call(stub -> stub.getRollout(byName(name)));
  }

  @Command(description = "Lists the rollouts.")
  int list(
      @Option(names = "--model", defaultValue = "", paramLabel = "MODEL", description = "Only of this model.")
      String model) {
    try (Connection connection = control.open()) {
      ListRolloutsResponse response =
          rollouts(connection).listRollouts(ListRolloutsRequest.newBuilder().setModel(model).build());
      if (output.json()) {
        output.print(response);
        return 0;
      }
      Table table = new Table("NAME", "MODEL", "VERSIONS", "STATE", "STEP", "WEIGHT", "REVISION", "UPDATED", "REASON");
      for (Rollout rollout : response.getRolloutsList()) {
        table.row(
            rollout.getName(), rollout.getModel(),
            rollout.getBaselineVersion() + " → " + rollout.getCandidateVersion(), rollout.getState(),
            RolloutPicture.step(rollout) + "/" + rollout.getStepCount(),
            Figures.percent(rollout.getWeightBasisPoints()), rollout.getRevision(), time(rollout.getUpdateTime()),
            rollout.getReason());
      }
      table.print(output.out());
      return 0;
    }
  }

  @Command(description = "Follows a rollout until it has ended.")
  int watch(@Parameters(paramLabel = "NAME") String name) {
    try (Connection connection = control.open()) {
      // The stream has no deadline. Asking once with one tells an absent server or rollout within the timeout.
      Rollout now = rollouts(connection).getRollout(byName(name));
      LivePicture picture = new LivePicture(output.out(), output.terminal());
      show(picture, now);
      Iterator<Rollout> changes = connection.stream(RolloutServiceGrpc::newBlockingStub)
          .watchRollout(WatchRolloutRequest.newBuilder().setName(name).build());
      while (changes.hasNext()) {
        Rollout changed = changes.next();
        // The stream begins with the rollout as it is.
        if (!changed.equals(now)) {
          show(picture, changed);
        }
        now = changed;
      }
      return 0;
    }
  }

  @Command(name = "set-weight", description = "Sets the candidate's share of the keys.")
  int setWeight(
      @Parameters(paramLabel = "NAME") String name,
      @Parameters(paramLabel = "WEIGHT", converter = WeightText.class, description = "10%%, 0.5%%") int basisPoints,
      @Mixin Change change,
      @Mixin ExpectedRevision expected) {
    return call(stub -> stub.setWeight(SetWeightRequest.newBuilder()
        .setName(name)
        .setWeightBasisPoints(basisPoints)
        .setExpectedRevision(expected.revision)
        .setReason(change.reason)
        .setActor(change.actor.name)
        .build()));
  }

  @Command(description = "Freezes the present step; stop rules stay armed.")
  int pause(
      @Parameters(paramLabel = "NAME") String name, @Mixin Change change, @Mixin ExpectedRevision expected) {
    return call(stub -> stub.pauseRollout(PauseRolloutRequest.newBuilder()
        .setName(name)
        .setExpectedRevision(expected.revision)
        .setReason(change.reason)
        .setActor(change.actor.name)
        .build()));
  }

  @Command(description = "Lets a paused rollout go on.")
  int resume(
      @Parameters(paramLabel = "NAME") String name, @Mixin Change change, @Mixin ExpectedRevision expected) {
    return call(stub -> stub.resumeRollout(ResumeRolloutRequest.newBuilder()
        .setName(name)
        .setExpectedRevision(expected.revision)
        .setReason(change.reason)
        .setActor(change.actor.name)
        .build()));
  }

  @Command(description = "Makes the candidate the model's default version.")
  int promote(
      @Parameters(paramLabel = "NAME") String name, @Mixin Change change, @Mixin ExpectedRevision expected) {
    return call(stub -> stub.promoteRollout(PromoteRolloutRequest.newBuilder()
        .setName(name)
        .setExpectedRevision(expected.revision)
        .setReason(change.reason)
        .setActor(change.actor.name)
        .build()));
  }

  @Command(description = "Ends a rollout: back to the baseline for good, whatever its revision.")
  int abort(@Parameters(paramLabel = "NAME") String name, @Mixin Change change) {
    return call(stub -> stub.abortRollout(AbortRolloutRequest.newBuilder()
        .setName(name)
        .setReason(change.reason)
        .setActor(change.actor.name)
        .build()));
  }

  @Command(description = "Says in sentences why a rollout is where it is.")
  int explain(@Parameters(paramLabel = "NAME") String name) {
    try (Connection connection = control.open()) {
      Rollout rollout = rollouts(connection).getRollout(byName(name));
      if (output.json()) {
        output.print(rollout);
      } else {
        output.print(Explanation.of(rollout));
      }
      return 0;
    }
  }

  @Command(description = "Tells a rollout what was true about requests that it has seen.")
  int label(
      @Parameters(index = "0", paramLabel = "NAME") String name,
      @Parameters(index = "1..*", arity = "0..*", paramLabel = "ID=0|1",
          description = "The id of a request, and whether the event came about.") List<String> labels,
      @Option(names = {"-f", "--file"}, paramLabel = "FILE",
          description = "Labels, one ID=0 or ID=1 a line.") @Nullable Path file)
      throws IOException {
    List<Label> all = new ArrayList<>();
    for (String label : labels == null ? List.<String>of() : labels) {
      all.add(label(label, "'" + label + "'"));
    }
    if (file != null) {
      int line = 0;
      for (String label : read(file).lines().toList()) {
        line++;
        if (!label.isBlank()) {
          all.add(label(label.strip(), "%s, line %d: '%s'".formatted(file, line, label)));
        }
      }
    }
    if (all.isEmpty()) {
      throw new InvalidInput("no labels: give some as ID=0 or ID=1, or a file of them");
    }
    ReportLabelsResponse.Builder sum = ReportLabelsResponse.newBuilder();
    try (Connection connection = control.open()) {
      for (int from = 0; from < all.size(); from += LABELS_AT_ONCE) {
        List<Label> some = all.subList(from, Math.min(all.size(), from + LABELS_AT_ONCE));
        ReportLabelsResponse response =
            rollouts(connection)
                .reportLabels(ReportLabelsRequest.newBuilder().setName(name).addAllLabels(some).build());
        sum.setTaken(sum.getTaken() + response.getTaken())
            .setKnown(sum.getKnown() + response.getKnown())
            .setUnknown(sum.getUnknown() + response.getUnknown());
      }
    }
    if (output.json()) {
      output.print(sum.build());
    } else {
      output.print(
          List.of(
              "%d taken, %d labelled before, %d not waited for"
                  .formatted(sum.getTaken(), sum.getKnown(), sum.getUnknown())));
    }
    return 0;
  }

  /// Where a rollout is looked at: in a running gateway, or in the files of one that has been stopped.
  static final class Place {
    @Option(
        names = "--data",
        paramLabel = "DIR",
        description = "Read the data directory of a gateway that is not running, instead of asking one.")
    private @Nullable Path data;
  }

  @Command(
      description = {
        "Weighs a rollout's evidence log again: does it lead to the same verdict, to the last bit?",
        "Exit code 0 if so, 1 if not, 6 if the log is missing or damaged."
      })
  int replay(@Parameters(paramLabel = "NAME") String name, @Mixin Place place) throws ControlFailure {
    Replay replay = replayed(name, place);
    if (output.json()) {
      output.print(replay);
    } else {
      output.print(ReplayWords.of(replay));
    }
    return replay.getIdentical() ? 0 : Failures.FAILED;
  }

  private Replay replayed(String name, Place place) throws ControlFailure {
    Path data = place.data;
    if (data != null) {
      return Records.replayFrom(data, name);
    }
    try (Connection connection = control.open()) {
      return rollouts(connection).replayRollout(ReplayRolloutRequest.newBuilder().setName(name).build());
    }
  }

  // In lower case, because these names are what a person types.
  enum ReportFormat { md, html }

  @Command(description = "Writes the report of a rollout: one document that needs nothing else.")
  int report(
      @Parameters(paramLabel = "NAME") String name,
      @Option(
          names = "--format",
          paramLabel = "FORMAT",
          description = "${COMPLETION-CANDIDATES} (default: what the file's name ends with, else md).")
      @Nullable ReportFormat format,
      @Option(names = {"-f", "--file"}, paramLabel = "FILE", description = "Write it there (default: standard output).")
      @Nullable Path file,
      @Mixin Place place)
      throws ControlFailure, IOException {
    RolloutReport report = reported(name, place);
    if (output.json()) {
      output.print(report);
      return 0;
    }
    ReportDocument document =
        new ReportDocument(report, Explanation.of(report.getRollout()), ReplayWords.of(report.getReplay()));
    boolean html = format == null ? file != null && file.toString().endsWith(".html") : format == ReportFormat.html;
    String text = html ? document.html() : document.markdown();
    if (file == null) {
      output.out().print(text);
      output.out().flush();
    } else {
      Files.writeString(file, text);
      output.err().println("sluice: %s: %,d bytes".formatted(file, Files.size(file)));
    }
    return 0;
  }

  private static Label label(String text, String where) throws InvalidInput {
    int equals = text.lastIndexOf('=');
    String value = equals < 0 ? "" : text.substring(equals + 1);
    if (equals <= 0 || !(value.equals("0") || value.equals("1"))) {
      throw new InvalidInput(where + " is no label; expected ID=0 or ID=1");
    }
    return Label.newBuilder().setRequestId(text.substring(0, equals)).setValue(Integer.parseInt(value)).build();
  }

  private RolloutReport reported(String name, Place place) throws ControlFailure {
    Path data = place.data;
    if (data != null) {
      return Records.reportFrom(data, name, System.currentTimeMillis());
    }
    try (Connection connection = control.open()) {
      return rollouts(connection).getReport(GetReportRequest.newBuilder().setName(name).build());
    }
  }

  @Command(description = "Prints the audit trail, oldest first.")
  int history(
      @Parameters(paramLabel = "NAME", arity = "0..1", defaultValue = "", description = "Default: all rollouts.")
      String name,
      @Option(names = "--after", defaultValue = "0", paramLabel = "N", description = "Only later revisions.")
      long afterRevision) {
    try (Connection connection = control.open()) {
      ListEventsResponse response = rollouts(connection)
          .listEvents(ListEventsRequest.newBuilder().setRollout(name).setAfterRevision(afterRevision).build());
      if (output.json()) {
        output.print(response);
        return 0;
      }
      Table table = new Table("REVISION", "TIME", "ROLLOUT", "KIND", "ACTOR", "HASH", "REASON");
      for (Event event : response.getEventsList()) {
        table.row(
            event.getRevision(), time(event.getTime()), event.getRollout(), event.getKind(), event.getActor(),
            event.getHash().substring(0, Math.min(12, event.getHash().length())), event.getReason());
      }
      table.print(output.out());
      return 0;
    }
  }

  private int call(Function<RolloutServiceBlockingStub, Rollout> call) {
    try (Connection connection = control.open()) {
      return print(call.apply(rollouts(connection)));
    }
  }

  private int print(Rollout rollout) {
    if (output.json()) {
      output.print(rollout);
    } else {
      output.print(RolloutPicture.on(output.terminal()).lines(rollout));
    }
    return 0;
  }

  private void show(LivePicture picture, Rollout rollout) {
    if (output.json()) {
      output.printLine(rollout);
    } else {
      picture.show(rollout);
    }
  }

  private static RolloutServiceBlockingStub rollouts(Connection connection) {
    return connection.stub(RolloutServiceGrpc::newBlockingStub);
  }

  private static GetRolloutRequest byName(String name) {
    return GetRolloutRequest.newBuilder().setName(name).build();
  }

  static String read(Path file) throws IOException {
    try {
      return Files.readString(file);
    } catch (NoSuchFileException _) {
      throw new InvalidInput("%s: there is no such file".formatted(file));
    } catch (CharacterCodingException _) {
      throw new InvalidInput("%s: not UTF-8 text".formatted(file));
    }
  }

  private static Instant time(Timestamp timestamp) {
    return Instant.ofEpochSecond(timestamp.getSeconds());
  }
}
