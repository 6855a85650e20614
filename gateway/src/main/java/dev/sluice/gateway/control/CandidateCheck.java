package dev.sluice.gateway.control;

import dev.sluice.gateway.note.NoteProblem;
import dev.sluice.router.comparison.Comparison;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.stop.StopRule;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.repository.Model;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.LongStream;

/// Holds a note against the repository: do its versions exist, load, and agree on their signature, can their outputs be compared
/// as it says, and can the numbers that its drift rules watch be found?
public final class CandidateCheck {

  private CandidateCheck() {}

  /// The versions that a check has loaded because they were not.
  record Loaded(String model, List<Long> versions) {
    void undo(ModelRepository repository) {
      for (long version : versions) {
        try {
          repository.unload(model, version);
        } catch (ModelLoadException e) {
          // somebody else has unloaded it
        }
      }
    }
  }

  /// Loads and warms both versions where they are not. After a failure, what was loaded for it is unloaded.
  static Loaded prepare(RolloutNote note, ModelRepository repository) throws ControlFailure {
    Model before = repository.find(note.model());
    List<Long> missing =
        LongStream.of(note.baselineVersion(), note.candidateVersion())
            .filter(version -> before == null || before.version(version) == null)
            .boxed()
            .toList();
    Loaded loaded = new Loaded(note.model(), missing);
    try {
      check(note, repository);
    } catch (ControlFailure e) {
      loaded.undo(repository);
      throw e;
    }
    return loaded;
  }

  /// Loads and warms both versions where they are not, and leaves them there.
  ///
  /// @throws ControlFailure with every way in which the note does not fit
  public static void check(RolloutNote note, ModelRepository repository) throws ControlFailure {
    requireOnDisk(note, note.baselineVersion(), "baseline", repository);
    requireOnDisk(note, note.candidateVersion(), "candidate", repository);
    ModelVersion baseline = ready(note, note.baselineVersion(), "baseline", repository);
    ModelVersion candidate = ready(note, note.candidateVersion(), "candidate", repository);
    String difference = candidate.signature().differenceFrom(baseline.signature());
    if (difference != null) {
      throw invalid(
          "candidate",
          "version %d of model '%s' has another signature than baseline %d: %s"
              .formatted(note.candidateVersion(), note.model(), note.baselineVersion(), difference));
    }
    List<NoteProblem> problems = new ArrayList<>(comparisonProblems(note, baseline.signature()));
    problems.addAll(featureProblems(note, baseline.signature()));
    if (!problems.isEmpty()) {
      throw new ControlFailure(
          ControlFailure.Kind.INVALID_NOTE, "the note does not fit model '%s'".formatted(note.model()), problems);
    }
  }

  private static void requireOnDisk(RolloutNote note, long version, String field, ModelRepository repository)
      throws ControlFailure {
    long[] onDisk = repository.versionsOnDisk(note.model());
    if (onDisk.length == 0) {
      throw new ControlFailure(
          ControlFailure.Kind.NOT_FOUND,
          "model '%s' is not in the repository".formatted(note.model()),
          List.of(new NoteProblem(0, 0, "model", "'%s' is not in the repository".formatted(note.model()))));
    }
    if (LongStream.of(onDisk).noneMatch(v -> v == version)) {
      throw new ControlFailure(
          ControlFailure.Kind.NOT_FOUND,
          "%s: version %d of model '%s' is not in the repository, which has %s"
              .formatted(field, version, note.model(), Arrays.toString(onDisk)));
    }
  }

  private static ModelVersion ready(RolloutNote note, long version, String field, ModelRepository repository)
      throws ControlFailure {
    try {
      return repository.ensureLoaded(note.model(), version);
    } catch (ModelLoadException e) {
      throw new ControlFailure(
          ControlFailure.Kind.REFUSED, "%s: version %d does not load: %s".formatted(field, version, e.getMessage()));
    }
  }

  private static List<NoteProblem> comparisonProblems(RolloutNote note, Signature signature) {
    List<NoteProblem> problems = new ArrayList<>();
    note.comparisons()
        .forEach(
            (output, comparison) -> {
              TensorSpec spec = signature.output(output);
              String problem = spec == null ? unknown(output, note, signature) : mismatch(spec, comparison);
              if (!problem.isEmpty()) {
                problems.add(new NoteProblem(0, 0, "compare." + output, problem));
              }
            });
    return problems;
  }

  private static String unknown(String output, RolloutNote note, Signature signature) {
    return "model '%s' has no output '%s'; its outputs are %s"
        .formatted(note.model(), output, signature.outputs().stream().map(TensorSpec::name).toList());
  }

  private static String mismatch(TensorSpec spec, Comparison comparison) {
    if (spec.datatype() == Datatype.BYTES && !(comparison instanceof Comparison.Exact)) {
      return "the output is BYTES, which can only be compared as exact";
    }
    int rank = spec.shape().rank();
    long rowLength = spec.shape().isAnyRank() ? -1 : rank == 0 ? 1 : spec.shape().dim(rank - 1);
    String misfit = rowLength < 0 || spec.datatype() == Datatype.BYTES ? null : comparison.misfit(rowLength);
    return misfit == null ? "" : misfit;
  }

  // --- drift ----------------------------------------------------------------------------------------------------------

  /// Can the numbers that drift rules watch, and those that labels are about, be found?
  private static List<NoteProblem> featureProblems(RolloutNote note, Signature signature) {
    List<NoteProblem> problems = new ArrayList<>();
    for (int rule = 0; rule < note.stopRules().size(); rule++) {
      if (note.stopRules().get(rule) instanceof StopRule.DriftRule drift) {
        String problem = featureProblem(drift.feature(), note, signature);
        if (!problem.isEmpty()) {
          problems.add(new NoteProblem(0, 0, "stopRules[" + rule + "].drift", problem));
        }
      }
    }
    RolloutNote.LabelPlan labels = note.labels();
    if (labels != null) {
      StopRule.Feature feature = new StopRule.Feature(labels.output(), false, labels.column());
      String problem = featureProblem(feature, note, signature);
      if (!problem.isEmpty()) {
        problems.add(new NoteProblem(0, 0, "labels", problem));
      }
    }
    return problems;
  }

  private static String featureProblem(StopRule.Feature feature, RolloutNote note, Signature signature) {
    String kind = feature.input() ? "input" : "output";
    TensorSpec spec = feature.input() ? signature.input(feature.tensor()) : signature.output(feature.tensor());
    if (spec == null) {
      List<TensorSpec> known = feature.input() ? signature.inputs() : signature.outputs();
      return "model '%s' has no %s '%s'; its %ss are %s"
          .formatted(note.model(), kind, feature.tensor(), kind, known.stream().map(TensorSpec::name).toList());
    }
    if (spec.datatype() == Datatype.BYTES) {
      return "%s '%s' is BYTES; expected numbers".formatted(kind, spec.name());
    }
    long rowLength = rowLength(spec, signature);
    return rowLength >= 0 && feature.column() >= rowLength
        ? "column %d: the rows of %s '%s' have %d elements".formatted(feature.column(), kind, spec.name(), rowLength)
        : "";
  }

  /// The elements that belong to one request of a batch of one: all of them after a leading dimension that may grow; -1 where
  /// each request chooses.
  private static long rowLength(TensorSpec spec, Signature signature) {
    if (spec.shape().isAnyRank()) {
      return -1;
    }
    boolean batched = spec.shape().rank() > 0 && (signature.maxBatchSize() > 0 || spec.shape().dim(0) < 0);
    long length = 1;
    for (int i = batched ? 1 : 0; i < spec.shape().rank(); i++) {
      if (spec.shape().dim(i) < 0) {
        return -1;
      }
      length *= spec.shape().dim(i);
    }
    return length;
  }

  private static ControlFailure invalid(String path, String message) {
    return new ControlFailure(
        ControlFailure.Kind.INVALID_NOTE, path + ": " + message, List.of(new NoteProblem(0, 0, path, message)));
  }
}
