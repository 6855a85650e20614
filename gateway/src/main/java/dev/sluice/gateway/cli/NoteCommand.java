package dev.sluice.gateway.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.sluice.gateway.cli.Failures.InvalidInput;
import dev.sluice.gateway.control.CandidateCheck;
import dev.sluice.gateway.control.ControlFailure;
import dev.sluice.gateway.note.NoteProblem;
import dev.sluice.gateway.note.NoteProblemsException;
import dev.sluice.gateway.note.NoteReader;
import dev.sluice.gateway.simulation.Behaviour;
import dev.sluice.gateway.simulation.Forecast;
import dev.sluice.gateway.simulation.RecordedCalls;
import dev.sluice.gateway.simulation.RecordedCalls.DamagedException;
import dev.sluice.gateway.simulation.Simulation;
import dev.sluice.gateway.simulation.Traffic;
import dev.sluice.gateway.simulation.World;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.repository.ModelRepository;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.TypeConversionException;
import tools.jackson.databind.json.JsonMapper;

/// `sluice note`: what a rollout note will do, before it does it.
@Command(name = "note", description = "Tells what a rollout note will do, before it does it.")
final class NoteCommand {
  private static final int KEYS = 10_000;
  private static final Duration CONTROL_TIMEOUT = Duration.ofSeconds(30);

  @Mixin
  private Output output = new Output();

  /// Who asks how much of the model, and which versions answer.
  static final class Requests {
    @Option(
        names = "--traffic",
        paramLabel = "RATE",
        description = "The model's requests: 50/s, 600/min, 1000/h.")
    private @Nullable String traffic;

    @Option(
        names = "--share",
        paramLabel = "SEGMENT=SHARE",
        description = "A segment's share of the traffic, as country=DE=12%% (default: what is left, spread evenly).")
    private List<String> shares = List.of();

    Traffic traffic() {
      String text = traffic;
      if (text == null) {
        throw new InvalidInput("--traffic: expected the model's requests, such as 600/min");
      }
      return value("--traffic", () -> Traffic.parse(text));
    }

    boolean hasTraffic() {
      return traffic != null;
    }

    Map<String, Double> shares() {
      Map<String, Double> bySegment = new LinkedHashMap<>();
      for (String text : shares) {
        int equals = text.lastIndexOf('=');
        String segment = segment("--share", equals < 0 ? text : text.substring(0, equals));
        double share = basisPoints(text, equals) / 10_000.0;
        if (bySegment.put(segment, share) != null) {
          throw new InvalidInput("--share: segment '%s' is given twice".formatted(segment));
        }
      }
      return bySegment;
    }

    private static int basisPoints(String text, int equals) {
      if (equals < 0) {
        throw new InvalidInput("--share: '%s' is not a segment and its share, such as country=DE=12%%".formatted(text));
      }
      try {
        return new WeightText().convert(text.substring(equals + 1));
      } catch (TypeConversionException _) {
        throw new InvalidInput("--share: '%s' does not end with a share such as 12%%".formatted(text));
      }
    }
  }

  @Command(
      description = {
        "Checks a note and tells what its rules will see: boundaries, what they detect and after how many requests, and what the"
            + " steps will take.",
        "With --repository it is held against the models there too, with --control against a running server's."
      })
  int check(
      @Parameters(paramLabel = "NOTE", description = "The note, YAML.") Path file,
      @Mixin Requests requests,
      @Option(
              names = "--baseline",
              defaultValue = "",
              paramLabel = "BEHAVIOUR",
              description = "What the baseline is like (default: error=0.1%%, latency=10ms).")
          String baselineText,
      @Option(names = "--repository", paramLabel = "DIR", description = "Hold the note against the models in this folder.")
          @Nullable Path repository,
      @Option(
              names = "--control",
              paramLabel = "HOST:PORT",
              description = "Ask the server there too, as 'rollout create --validate-only' does.")
          @Nullable String control,
      @Option(names = "--seed", defaultValue = "1", paramLabel = "S", description = "Default: ${DEFAULT-VALUE}.") long seed)
      throws IOException {
    RolloutNote note = read(file);
    if (note == null) {
      return Failures.USAGE;
    }
    if (repository != null) {
      int problems = checkModels(file, note, repository);
      if (problems != 0) {
        return problems;
      }
    }
    if (control != null) {
      int problems = RolloutCommand.validate(Connection.open(control, CONTROL_TIMEOUT), file, output);
      if (problems != 0) {
        return problems;
      }
    }
    Behaviour baseline = behaviour("--baseline", Behaviour.USUAL_BASELINE, baselineText);
    Traffic traffic = requests.hasTraffic() ? requests.traffic() : null;
    World world =
        traffic == null
            ? null
            : value("--share", () -> World.of(note, traffic, baseline, baseline, requests.shares(), Map.of(), KEYS));
    Forecast.Report report = Forecast.of(note, world, baseline, seed);
    if (output.json()) {
      json(report);
    } else {
      ForecastText.print(report, output.out());
    }
    return 0;
  }

  /// Both versions are loaded, as they are when a rollout begins.
  private int checkModels(Path file, RolloutNote note, Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      throw new InvalidInput("%s: there is no such folder".formatted(folder));
    }
    try (ModelRepository repository = ModelRepository.open(folder, new OnnxRuntime())) {
      CandidateCheck.check(note, repository);
      return 0;
    } catch (ControlFailure refused) {
      for (NoteProblem problem : refused.problems()) {
        output.err().println("%s: %s: %s".formatted(file, problem.path(), problem.message()));
      }
      if (refused.problems().isEmpty()) {
        output.err().println("%s: %s".formatted(file, refused.getMessage()));
      }
      return refused.kind() == ControlFailure.Kind.NOT_FOUND
          ? Failures.NOT_FOUND
          : refused.kind() == ControlFailure.Kind.INVALID_NOTE ? Failures.USAGE : Failures.REFUSED;
    }
  }

  @Command(description = "Runs a note through the router many times, on described or recorded requests.")
  int simulate(
      @Parameters(paramLabel = "NOTE", description = "The note, YAML.") Path file,
      @Mixin Requests requests,
      @Option(
              names = "--baseline",
              defaultValue = "",
              paramLabel = "BEHAVIOUR",
              description = "What the baseline is like (default: error=0.1%%, latency=10ms).")
          String baselineText,
      @Option(
              names = "--candidate",
              defaultValue = "",
              paramLabel = "BEHAVIOUR",
              description =
                  "Where the candidate is not like the baseline: error=5%%, latency=x1.1 or 20ms, disagreement=4%%,"
                      + " difference=0.1, shift=0.5, missing=1%%, loss=0.01, crash=0.1%%.")
          String candidateText,
      @Option(
              names = "--segment",
              paramLabel = "SEGMENT:BEHAVIOUR",
              description = "Where the candidate is like something else in a segment, as country=DE:error=20%%.")
          @Nullable List<String> segments,
      @Option(names = "--keys", defaultValue = "" + KEYS, paramLabel = "N", description = "Sticky callers (default: ${DEFAULT-VALUE}).")
          int keys,
      @Option(names = "--stream", paramLabel = "FILE", description = "Recorded requests, a JSON object per line.")
          @Nullable Path stream,
      @Option(names = "--runs", defaultValue = "200", paramLabel = "N", description = "Default: ${DEFAULT-VALUE}.") int runs,
      @Option(names = "--seed", defaultValue = "1", paramLabel = "S", description = "Default: ${DEFAULT-VALUE}.") long seed)
      throws IOException {
    RolloutNote note = read(file);
    if (note == null) {
      return Failures.USAGE;
    }
    Simulation.Report report;
    if (stream != null) {
      if (requests.hasTraffic() || !baselineText.isEmpty() || !candidateText.isEmpty() || segments != null) {
        throw new InvalidInput(
            "--stream: recorded requests say for themselves what --traffic, --baseline, --candidate and --segment would");
      }
      RecordedCalls recording = recording(stream, note);
      report = value("--runs", () -> Simulation.recorded(note, recording, runs, seed));
    } else {
      Behaviour baseline = behaviour("--baseline", Behaviour.USUAL_BASELINE, baselineText);
      Behaviour candidate = behaviour("--candidate", baseline, candidateText);
      Map<String, Behaviour> bySegment = new LinkedHashMap<>();
      for (String text : segments == null ? List.<String>of() : segments) {
        int colon = text.lastIndexOf(':');
        if (colon < 0) {
          throw new InvalidInput(
              "--segment: '%s' is not a segment and its behaviour, such as country=DE:error=20%%".formatted(text));
        }
        bySegment.put(
            segment("--segment", text.substring(0, colon)), behaviour("--segment", candidate, text.substring(colon + 1)));
      }
      Traffic traffic = requests.traffic();
      World world =
          value("--share", () -> World.of(note, traffic, baseline, candidate, requests.shares(), bySegment, keys));
      report = value("--runs", () -> Simulation.described(note, world, runs, seed));
    }
    if (output.json()) {
      json(report);
    } else {
      SimulationText.print(report, note, output.out());
    }
    return 0;
  }

  private static Behaviour behaviour(String option, Behaviour from, String text) {
    return text.isEmpty() ? from : value(option, () -> from.with(text));
  }

  private static String segment(String option, String text) {
    return text.equals(Segments.OTHER) ? text : value(option, () -> SegmentRule.parse(text)).name();
  }

  /// What the value itself refuses is a problem of the option.
  private static <T> T value(String option, Supplier<T> maker) {
    try {
      return maker.get();
    } catch (IllegalArgumentException refused) {
      throw new InvalidInput(option + ": " + refused.getMessage());
    }
  }

  private static RecordedCalls recording(Path stream, RolloutNote note) throws IOException {
    try (BufferedReader reader = Files.newBufferedReader(stream, UTF_8)) {
      return RecordedCalls.read(reader.lines().iterator(), note);
    } catch (DamagedException damaged) {
      throw new InvalidInput(stream + ": " + damaged.getMessage());
    } catch (NoSuchFileException _) {
      throw new InvalidInput("%s: there is no such file".formatted(stream));
    } catch (UncheckedIOException broken) {
      if (broken.getCause() instanceof CharacterCodingException) {
        throw new InvalidInput("%s: not UTF-8 text".formatted(stream));
      }
      throw broken.getCause();
    }
  }

  /// The note; null after its problems have been told, a line each.
  private @Nullable RolloutNote read(Path file) throws IOException {
    try {
      return NoteReader.read(RolloutCommand.read(file));
    } catch (NoteProblemsException refused) {
      for (NoteProblem problem : refused.problems()) {
        String path = problem.path().isEmpty() ? "" : problem.path() + ": ";
        output.err().println("%s:%d:%d: %s%s".formatted(file, problem.line(), problem.column(), path, problem.message()));
      }
      return null;
    }
  }

  private void json(Object report) {
    output.print(List.of(JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(report)));
  }
}
