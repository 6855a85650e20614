package dev.sluice.gateway.control;

import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.Tensors.floats;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.cli.SluiceCommand;
import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.proto.control.v1.CreateRolloutRequest;
import dev.sluice.proto.control.v1.ListEventsRequest;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.ListRolloutsRequest;
import dev.sluice.proto.control.v1.LoadVersionRequest;
import dev.sluice.proto.control.v1.ModelVersion;
import dev.sluice.proto.control.v1.PauseRolloutRequest;
import dev.sluice.proto.control.v1.PromoteRolloutRequest;
import dev.sluice.proto.control.v1.ResumeRolloutRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.SetWeightRequest;
import dev.sluice.proto.control.v1.UnloadVersionRequest;
import dev.sluice.proto.control.v1.WatchRolloutRequest;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status.Code;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// What the control API refuses, over its real port, and that a refusal changes nothing.
class ControlErrorsTest {

  private static final String STOP_RULES =
      """
      stopRules:
        - error-rate: { limit: 5% }
      """;

  private static final String SHADOW_THEN_CANARY =
      """
      rollout: %s
      model: m
      owner: test
      baseline: 1
      candidate: 2
      compare: { y: { absolute: 1e-3 } }
      steps:
        - shadow: 100%%
          until: { observations: 1000000 }
        - canary: 10%%
          until: { observations: 1000000 }
      stopRules:
        - error-rate: { limit: 5%% }
      """;

  private static final String CANARY =
      """
      rollout: %s
      model: m
      owner: test
      baseline: 1
      candidate: 2
      steps:
        - canary: 5%%
          until: { observations: 1000000 }
      stopRules:
        - error-rate: { limit: 5%% }
      blastRadius: { weight: 20%% }
      coolDown: 1h
      """;

  @SuppressWarnings("NullAway.Init") // before each test
  private RunningGateway gateway;

  @SuppressWarnings("NullAway.Init") // before each test
  private Path folder;

  @BeforeEach
  void start(@TempDir Path folder) throws Exception {
    this.folder = folder;
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.linear(2, 0, 2).writeTo(models, "m", 1);
    OnnxModels.linear(3, 0, 2).writeTo(models, "m", 2);
    OnnxModels.linear(2, 0, 3).writeTo(models, "m", 3); // another signature
    OnnxGraph.write(models, "m", 4, new byte[] {1, 2, 3});
    Files.writeString(models.resolve("m/config.pbtxt"), "version_policy: { specific: { versions: [1] } }\n");
    gateway = RunningGateway.start(models, folder.resolve("data"));
  }

  @AfterEach
  void stop() {
    gateway.close();
  }

  // --- notes ---------------------------------------------------------------------------------------------------------

  @Test
  void everyProblemOfANoteIsToldAtOnceWithItsPlace() {
    Refusal refusal = Refusal.of(() -> gateway.create(
        """
        rollout: Bad Name
        model: m
        baseline: 1
        candidate: 1
        colour: red
        steps:
          - canary: 120%
            until: { observations: none }
        stopRules:
          - error-rate: { limit: 5 }
        """));

    assertThat(refusal.code()).isEqualTo(Code.INVALID_ARGUMENT);
    assertThat(refusal.reason()).isEqualTo("INVALID_NOTE");
    assertThat(refusal.fields())
        .anySatisfy(field -> assertThat(field).startsWith("line 1: rollout: ").contains("Bad Name"))
        .anySatisfy(field -> assertThat(field).startsWith("line 4: candidate: "))
        .anySatisfy(field -> assertThat(field).startsWith("line 5: ").contains("colour"))
        .anySatisfy(field -> assertThat(field).startsWith("line 7: steps[0].canary: ").contains("120%"))
        .anySatisfy(field -> assertThat(field).startsWith("line 8: steps[0].until.observations: ").contains("none"))
        .anySatisfy(field -> assertThat(field).startsWith("line 10: stopRules[0].error-rate.limit: "))
        .anySatisfy(field -> assertThat(field).contains("owner"));
    nothingHasChanged();
  }

  @Test
  void aNoteWithMoreProblemsThanAnAnswerHoldsTellsTheFirstOnesAndCountsTheRest() {
    StringBuilder note = new StringBuilder("rollout: x\n");
    for (int i = 0; i < 500; i++) {
      note.append("unknown-field-number-%d: some value that nobody has asked for\n".formatted(i));
    }

    Refusal refusal = Refusal.of(() -> gateway.create(note.toString()));

    assertThat(refusal.code()).isEqualTo(Code.INVALID_ARGUMENT);
    assertThat(refusal.fields()).hasSizeGreaterThan(10);
    assertThat(refusal.fields().getFirst()).startsWith("line 1: ");
    assertThat(refusal.fields().getLast()).matches("note: and [0-9]+ more problems");
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', textBlock = """
      ''            | INVALID_ARGUMENT
      '{'           | INVALID_ARGUMENT
      'a: &b [*b]'  | INVALID_ARGUMENT
      '[1, 2]'      | INVALID_ARGUMENT
      """)
  void whatIsNoNoteIsInvalid(String note, Code code) {
    Refusal refusal = Refusal.of(() -> gateway.create(note));

    assertThat(refusal.code()).isEqualTo(code);
    assertThat(refusal.reason()).isEqualTo("INVALID_NOTE");
    assertThat(refusal.fields()).isNotEmpty();
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', textBlock = """
      nosuch | 1 | 2 |                                                 | NOT_FOUND           | model 'nosuch' is not in the repository
      m      | 1 | 9 |                                                 | NOT_FOUND           | candidate: version 9 of model 'm'
      m      | 9 | 2 |                                                 | NOT_FOUND           | baseline: version 9 of model 'm'
      m      | 1 | 3 |                                                 | INVALID_ARGUMENT    | another signature than baseline 1: input 'x' has shape [-1, 3] instead of [-1, 2]
      m      | 1 | 4 |                                                 | FAILED_PRECONDITION | candidate: version 4 does not load: m/4/model.onnx
      m      | 1 | 2 | compare: { z: top-1 }                           | INVALID_ARGUMENT    | compare.z: model 'm' has no output 'z'; its outputs are [y]
      m      | 1 | 2 | 'compare: { y: { threshold: 0.5, column: 2 } }' | INVALID_ARGUMENT    | compare.y: column 2: the output's rows have 2 elements
      m      | 1 | 2 | 'compare: { y: { iou: 0.5, format: xywh } }'     | INVALID_ARGUMENT    | compare.y: iou: the output's rows have 2 elements; a box has 4
      m      | 1 | 2 | 'compare: { y: { top-k: 3 } }'                   | INVALID_ARGUMENT    | compare.y: top-k 3: the output's rows have 2 elements
      m      | 1 | 2 | 'compare: { y: [top-1, { top-k: 3 }] }'          | INVALID_ARGUMENT    | compare.y: top-k 3: the output's rows have 2 elements
      """)
  void aNoteThatDoesNotFitTheRepositoryIsRefused(
      String model, long baseline, long candidate, String compare, Code code, String words) {
    String note =
        """
        rollout: misfit
        model: %s
        owner: test
        baseline: %d
        candidate: %d
        steps:
          - canary: 5%%
            until: { observations: 10 }
        %s%s
        """.formatted(model, baseline, candidate, STOP_RULES, compare == null ? "" : compare);

    Refusal refusal = Refusal.of(() -> gateway.create(note));

    assertThat(refusal.message() + refusal.fields()).contains(words);
    assertThat(refusal.code()).isEqualTo(code);
    nothingHasChanged();
  }

  @Test
  void validatingChangesNothing() {
    Rollout valid =
        gateway.rollouts().createRollout(
            CreateRolloutRequest.newBuilder().setNote(CANARY.formatted("dry")).setValidateOnly(true).build());

    assertThat(valid.getName()).isEqualTo("dry");
    assertThat(valid.getRevision()).isZero();
    assertThat(gateway.rollouts().listRollouts(ListRolloutsRequest.getDefaultInstance()).getRolloutsList()).isEmpty();
    nothingHasChanged();
  }

  @Test
  void checkingACandidateNeverLetsItAnswer() {
    Set<String> answered = ConcurrentHashMap.newKeySet();
    Thread caller =
        Thread.ofVirtual()
            .start(
                () -> {
                  while (!Thread.currentThread().isInterrupted()) {
                    answered.add(
                        gateway.inference()
                            .modelInfer(raw("m", floats("x", Shape.of(1, 2), 3, 4)).build())
                            .getModelVersion());
                  }
                });
    CreateRolloutRequest validate =
        CreateRolloutRequest.newBuilder().setNote(CANARY.formatted("dry")).setValidateOnly(true).build();

    for (int i = 0; i < 20; i++) {
      var _ = gateway.rollouts().createRollout(validate);
    }
    var _ = gateway.create(SHADOW_THEN_CANARY.formatted("shadowed"));
    caller.interrupt();

    assertThat(answered).containsExactly("1");
  }

  // --- names, models, revisions --------------------------------------------------------------------------------------

  @Test
  void oneRolloutAModelAndOneNameForEver() {
    gateway.create(CANARY.formatted("first"));

    Refusal second = Refusal.of(() -> gateway.create(CANARY.formatted("second")));
    assertThat(second.code()).isEqualTo(Code.FAILED_PRECONDITION);
    assertThat(second.message()).isEqualTo("model 'm' is in rollout 'first' already: one at a time");

    gateway.rollouts().abortRollout(AbortRolloutRequest.newBuilder().setName("first").build());
    Refusal taken = Refusal.of(() -> gateway.create(CANARY.formatted("first")));
    assertThat(taken.code()).isEqualTo(Code.ALREADY_EXISTS);
    assertThat(taken.message()).isEqualTo("rollout 'first' exists already; a new attempt needs a new name");
    assertThat(gateway.create(CANARY.formatted("second")).getState()).isEqualTo(RolloutState.CANARY);
  }

  @Test
  void aChangeOnStaleSightIsAborted() {
    long revision = gateway.create(CANARY.formatted("r")).getRevision();
    long now = gateway.rollouts().setWeight(weight("r", 1000).setExpectedRevision(revision).build()).getRevision();
    assertThat(now).isGreaterThan(revision);

    for (Refusal refusal :
        List.of(
            Refusal.of(() -> gateway.rollouts().setWeight(weight("r", 500).setExpectedRevision(revision).build())),
            Refusal.of(() -> gateway.rollouts().pauseRollout(
                PauseRolloutRequest.newBuilder().setName("r").setExpectedRevision(revision).build())),
            Refusal.of(() -> gateway.rollouts().promoteRollout(
                PromoteRolloutRequest.newBuilder().setName("r").setExpectedRevision(revision).build())))) {
      assertThat(refusal.code()).isEqualTo(Code.ABORTED);
      assertThat(refusal.reason()).isEqualTo("STALE");
      assertThat(refusal.message()).contains("at revision " + now + ", not " + revision);
    }
    assertThat(gateway.rollout("r").getWeightBasisPoints()).isEqualTo(1000);
  }

  @Test
  void anUnknownRolloutIsNotFoundByEveryCall() {
    for (Refusal refusal :
        List.of(
            Refusal.of(() -> gateway.rollout("nosuch")),
            Refusal.of(() -> gateway.rollouts().setWeight(weight("nosuch", 100).build())),
            Refusal.of(() -> gateway.rollouts().pauseRollout(PauseRolloutRequest.newBuilder().setName("nosuch").build())),
            Refusal.of(() -> gateway.rollouts().resumeRollout(ResumeRolloutRequest.newBuilder().setName("nosuch").build())),
            Refusal.of(() -> gateway.rollouts().promoteRollout(PromoteRolloutRequest.newBuilder().setName("nosuch").build())),
            Refusal.of(() -> gateway.rollouts().abortRollout(AbortRolloutRequest.newBuilder().setName("nosuch").build())),
            Refusal.of(() -> gateway.rollouts().watchRollout(watch("nosuch")).next()))) {
      assertThat(refusal.code()).isEqualTo(Code.NOT_FOUND);
      assertThat(refusal.message()).isEqualTo("rollout 'nosuch' does not exist");
    }
  }

  // --- stages --------------------------------------------------------------------------------------------------------

  @Test
  void weightsHaveTheirLimits() {
    gateway.create(CANARY.formatted("r"));

    for (int basisPoints : List.of(12_000, 10_001, -1, Integer.MIN_VALUE)) {
      Refusal refusal = Refusal.of(() -> gateway.rollouts().setWeight(weight("r", basisPoints).build()));
      assertThat(refusal.code()).isEqualTo(Code.INVALID_ARGUMENT);
      assertThat(refusal.message()).endsWith(" is not between 0 % and 100 %");
    }
    Refusal beyond = Refusal.of(() -> gateway.rollouts().setWeight(weight("r", 2001).build()));
    assertThat(beyond.code()).isEqualTo(Code.FAILED_PRECONDITION);
    assertThat(beyond.message()).contains("weight 20.01 % is beyond the blast radius of 20.0 %");
    assertThat(gateway.rollout("r").getWeightBasisPoints()).isEqualTo(500);
    assertThat(gateway.rollouts().setWeight(weight("r", 2000).build()).getWeightBasisPoints()).isEqualTo(2000);
  }

  @Test
  void aShadowStepHasNoWeightAndCannotBePromoted() {
    gateway.create(SHADOW_THEN_CANARY.formatted("r"));

    Refusal weight = Refusal.of(() -> gateway.rollouts().setWeight(weight("r", 100).build()));
    Refusal promote =
        Refusal.of(() -> gateway.rollouts().promoteRollout(PromoteRolloutRequest.newBuilder().setName("r").build()));

    assertThat(weight.code()).isEqualTo(Code.FAILED_PRECONDITION);
    assertThat(weight.message()).contains("step 1 of 2 is a shadow step");
    assertThat(promote.code()).isEqualTo(Code.FAILED_PRECONDITION);
    assertThat(promote.message()).contains("step 1 of 2 is a shadow step");
  }

  @Test
  void doingTwiceWhatIsDoneChangesNothing() {
    gateway.create(CANARY.formatted("r"));
    Rollout running = gateway.rollout("r");
    assertThat(resume().getRevision()).as("it was not paused").isEqualTo(running.getRevision());
    Rollout paused = pause();
    assertThat(paused.getState()).isEqualTo(RolloutState.PAUSED);
    assertThat(pause().getRevision()).isEqualTo(paused.getRevision());
    assertThat(resume().getState()).isEqualTo(RolloutState.CANARY);
    Rollout promoted = promote();
    assertThat(promoted.getState()).isEqualTo(RolloutState.PROMOTED);
    assertThat(promote().getRevision()).isEqualTo(promoted.getRevision());
  }

  @Test
  void aPromotedRolloutCanOnlyBeAborted() {
    gateway.create(CANARY.formatted("r"));
    promote();

    for (Refusal refusal :
        List.of(
            Refusal.of(this::pause), Refusal.of(this::resume),
            Refusal.of(() -> gateway.rollouts().setWeight(weight("r", 100).build())))) {
      assertThat(refusal.code()).isEqualTo(Code.FAILED_PRECONDITION);
      assertThat(refusal.message()).contains("it is promoted already");
    }
    assertThat(abort().getState()).isEqualTo(RolloutState.ABORTED);
  }

  @Test
  void anEndedRolloutStaysEnded() {
    gateway.create(CANARY.formatted("r"));
    Rollout aborted = abort();

    for (Refusal refusal :
        List.of(
            Refusal.of(this::pause), Refusal.of(this::resume), Refusal.of(this::promote),
            Refusal.of(() -> gateway.rollouts().setWeight(weight("r", 100).build())))) {
      assertThat(refusal.code()).isEqualTo(Code.FAILED_PRECONDITION);
      assertThat(refusal.message()).contains("rollout 'r': it has ended: aborted");
    }
    assertThat(abort().getRevision()).as("aborting again changes nothing").isEqualTo(aborted.getRevision());
    Iterator<Rollout> watched = gateway.rollouts().watchRollout(watch("r"));
    assertThat(watched.next().getState()).isEqualTo(RolloutState.ABORTED);
    assertThat(watched.hasNext()).as("a watch ends with the rollout").isFalse();
  }

  // --- versions ------------------------------------------------------------------------------------------------------

  @Test
  void theVersionThatAnswersCannotBeUnloaded() {
    Refusal refusal = Refusal.of(() -> unload("m", 1));

    assertThat(refusal.code()).isEqualTo(Code.FAILED_PRECONDITION);
    assertThat(refusal.message()).isEqualTo("model 'm' version 1 answers its unversioned calls and cannot be unloaded");
    nothingHasChanged();
  }

  @Test
  void whatIsNotThereCanNeitherBeLoadedNorUnloaded() {
    for (Refusal refusal :
        List.of(
            Refusal.of(() -> unload("nosuch", 1)), Refusal.of(() -> unload("nosuch", 0)), Refusal.of(() -> unload("m", 2)),
            Refusal.of(() -> load("nosuch", 1)), Refusal.of(() -> load("m", 9)), Refusal.of(() -> load("m", 0)),
            Refusal.of(() -> load("m", -1)), Refusal.of(() -> load("../m", 1)))) {
      assertThat(refusal.code()).isEqualTo(Code.NOT_FOUND);
    }
    nothingHasChanged();
  }

  // --- the command line ----------------------------------------------------------------------------------------------

  @Test
  void theCommandLinesExitCodesTellTheRefusalsApart() throws Exception {
    Path good = Files.writeString(folder.resolve("good.yaml"), CANARY.formatted("r"), UTF_8);
    Path other = Files.writeString(folder.resolve("other.yaml"), CANARY.formatted("other"), UTF_8);
    Path bad = Files.writeString(folder.resolve("bad.yaml"), "model: m\ncolour: red\n", UTF_8);

    assertThat(sluice("rollout", "create", "--validate-only", "-f", good.toString())).isZero();
    assertThat(sluice("rollout", "get", "r")).isEqualTo(3);
    assertThat(sluice("rollout", "create", "-f", bad.toString())).isEqualTo(2);
    assertThat(sluice("rollout", "create", "-f", good.toString())).isZero();
    assertThat(sluice("rollout", "create", "-f", good.toString())).isEqualTo(4);
    assertThat(sluice("rollout", "create", "-f", other.toString())).isEqualTo(6);
    assertThat(sluice("rollout", "set-weight", "r", "120%")).isEqualTo(2);
    assertThat(sluice("rollout", "set-weight", "r", "30%")).isEqualTo(6);
    assertThat(sluice("rollout", "set-weight", "r", "10%", "--expected-revision", "999")).isEqualTo(4);
    assertThat(sluice("rollout", "set-weight", "r", "10%")).isZero();
    assertThat(sluice("rollout", "pause", "r")).isZero();
    assertThat(sluice("rollout", "resume", "r")).isZero();
    assertThat(sluice("rollout", "abort", "r")).isZero();
    assertThat(sluice("rollout", "promote", "r")).isEqualTo(6);
    assertThat(sluice("rollout", "list")).isZero();
    assertThat(sluice("models", "list")).isZero();
    assertThat(sluice("models", "unload", "m", "1")).isEqualTo(6);
    assertThat(sluice("models", "load", "m", "9")).isEqualTo(3);
    gateway.gateway().close();
    assertThat(sluice("rollout", "list")).isEqualTo(7);
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private int sluice(String... arguments) {

    StringWriter said = new StringWriter();
    PrintWriter writer = new PrintWriter(said, true);
    String[] all = java.util.Arrays.copyOf(arguments, arguments.length + 2);
    all[arguments.length] = "--server";
    all[arguments.length + 1] = gateway.controlChannel().authority();
    int exitCode = SluiceCommand.commandLine().setOut(writer).setErr(writer).execute(all);
    assertThat(said.toString()).isNotBlank().doesNotContain("Exception");
    return exitCode;
  }

  /// Only version 1 is loaded, it answers, and nothing was written down.
  private void nothingHasChanged() {
    await()
        .untilAsserted(
            () ->
                assertThat(gateway.models().listModels(ListModelsRequest.getDefaultInstance()).getVersionsList())
                    .filteredOn(version -> !version.getState().equals("UNAVAILABLE"))
                    .extracting(ModelVersion::getModel, ModelVersion::getVersion, ModelVersion::getIsDefault)
                    .containsExactly(org.assertj.core.groups.Tuple.tuple("m", 1L, true)));
    assertThat(gateway.rollouts().listEvents(ListEventsRequest.getDefaultInstance()).getEventsList()).isEmpty();
  }

  private Rollout pause() {
    return gateway.rollouts().pauseRollout(PauseRolloutRequest.newBuilder().setName("r").build());
  }

  private Rollout resume() {
    return gateway.rollouts().resumeRollout(ResumeRolloutRequest.newBuilder().setName("r").build());
  }

  private Rollout promote() {
    return gateway.rollouts().promoteRollout(PromoteRolloutRequest.newBuilder().setName("r").build());
  }

  private Rollout abort() {
    return gateway.rollouts().abortRollout(AbortRolloutRequest.newBuilder().setName("r").build());
  }

  private ModelVersion load(String model, long version) {
    return gateway.models().loadVersion(LoadVersionRequest.newBuilder().setModel(model).setVersion(version).build());
  }

  private ModelVersion unload(String model, long version) {
    return gateway.models().unloadVersion(UnloadVersionRequest.newBuilder().setModel(model).setVersion(version).build());
  }

  private static SetWeightRequest.Builder weight(String name, int basisPoints) {
    return SetWeightRequest.newBuilder().setName(name).setWeightBasisPoints(basisPoints);
  }

  private static WatchRolloutRequest watch(String name) {
    return WatchRolloutRequest.newBuilder().setName(name).build();
  }
}
