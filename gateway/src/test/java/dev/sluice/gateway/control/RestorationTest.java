package dev.sluice.gateway.control;

import static dev.sluice.gateway.testing.Notes.note;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.metrics.GatewayMetrics;
import dev.sluice.gateway.note.NoteReader;
import dev.sluice.gateway.routing.Lanes;
import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.gateway.store.AuditEvent;
import dev.sluice.gateway.store.Change;
import dev.sluice.gateway.store.FailingStore;
import dev.sluice.gateway.store.LedgerFiles;
import dev.sluice.gateway.store.ServingMarkers;
import dev.sluice.gateway.store.ServingVersion;
import dev.sluice.gateway.store.SqliteStore;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.proto.control.v1.Event;
import dev.sluice.proto.control.v1.ListEventsRequest;
import dev.sluice.proto.control.v1.PromoteRolloutRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.rollout.RolloutEvent;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.Stage;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.testing.OnnxModels;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.Statement;
import java.time.Clock;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What a gateway finds when it starts, and what it makes of it: a rollout goes on, or ends at its baseline and says why.
class RestorationTest {

  private static final String CANARY =
      """
      steps:
        - canary: 100%
          until: { observations: 1000000 }
      stopRules:
        - error-rate: { limit: 1% }
      """;

  @TempDir Path models;
  @TempDir Path data;

  @BeforeEach
  void twoVersions() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 2);
  }

  // --- what goes on ---------------------------------------------------------------------------------------------------

  @Test
  void aRolloutInGoodOrderGoesOnWhereItWas() throws Exception {
    leaveRunning("good");
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      assertThat(gateway.rollout("good").getState()).isEqualTo(RolloutState.CANARY);
      assertThat(gateway.rollout("good").getEpoch()).isEqualTo(1);
      assertThat(Calls.variant(ask(gateway))).isEqualTo("candidate");
      assertThat(kinds(gateway)).containsExactly("created");
    }
  }

  /// The end of the cool-down disarms the rules before it is written down: what was killed in between had not failed.
  @Test
  void aPromotionWhoseCoolDownWasJustEndingStaysPromoted() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(note("r", CANARY));
      var _ =
          gateway
              .rollouts()
              .promoteRollout(
                  PromoteRolloutRequest.newBuilder().setName("r").build());
    }
    onLedger("r", ledger -> assertThat(ledger.expose(ledger.exposure(), Exposure.of(3, Exposure.ALL, 0))).isTrue());
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      assertThat(gateway.rollout("r").getState()).as(gateway.rollout("r").getReason()).isEqualTo(RolloutState.PROMOTED);
    }
  }

  // --- what cannot be confirmed ---------------------------------------------------------------------------------------

  @Test
  void withoutItsLedgerItEndsAtTheBaseline() throws Exception {
    leaveRunning("r");
    Files.delete(ledger("r"));
    assertEndsAtTheBaseline("r", "its evidence ledger is missing");
  }

  @Test
  void withATruncatedLedgerItEndsAtTheBaseline() throws Exception {
    leaveRunning("r");
    try (FileChannel file = FileChannel.open(ledger("r"), StandardOpenOption.WRITE)) {
      file.truncate(file.size() / 2);
    }
    assertEndsAtTheBaseline("r", "the ledger of rollout 'r' has");
  }

  @Test
  void withTheLedgerOfAnotherRolloutItEndsAtTheBaseline() throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(note("before", CANARY));
      var _ = gateway.rollouts().abortRollout(AbortRolloutRequest.newBuilder().setName("before").build());
      gateway.create(note("r", CANARY));
    }
    Files.copy(ledger("before"), ledger("r"), StandardCopyOption.REPLACE_EXISTING);
    assertEndsAtTheBaseline("r", "belongs to another rollout");
  }

  @Test
  void withoutItsCandidateItEndsAtTheBaseline() throws Exception {
    leaveRunning("r");
    removeTheCandidate();
    assertEndsAtTheBaseline("r", "version 2 of model 'm' is not in the repository");
  }

  @Test
  void withANoteThatNobodyCanReadItEndsAtTheBaseline() throws Exception {
    try (SqliteStore store = SqliteStore.open(data.resolve("sluice.db"))) {
      StoredRollout odd =
          StoredRollout.create(
              "r",
              "written: [by a later version",
              "0",
              7,
              1,
              new dev.sluice.router.rollout.RolloutState(new Stage.Running(0, 1), 1, 10_000, 0, List.of(0L)),
              "");
      var _ = store.commit(new Change(odd, "test", "created", "", "{}", new ServingVersion("m", 1), 0, 1));
    }
    assertEndsAtTheBaseline("r", "its note cannot be read any more");
  }

  @Test
  void afterTheMachineWentDownUnderItItEndsAtTheBaseline() throws Exception {
    leaveRunning("r");
    theMachineGoesDown();
    assertEndsAtTheBaseline("r", "the machine went down under it");
  }

  @Test
  void aStartThatIsCutShortDoesNotHideThatTheMachineWentDown() throws Exception {
    leaveRunning("r");
    theMachineGoesDown();
    SqliteStore.open(data.resolve("sluice.db")).close(); // killed before it came to the rollouts
    assertEndsAtTheBaseline("r", "the machine went down under it");
  }

  @Test
  void aStartThatFailsDoesNotHideThatTheMachineWentDown() throws Exception {
    leaveRunning("r");
    theMachineGoesDown();
    Path aside = data.resolve("ledgers-aside");
    Files.move(data.resolve("ledgers"), aside);
    Files.writeString(data.resolve("ledgers"), "not a directory");
    RunningGateway.start(models, data).close(); // serves the baseline, and could not even look at the rollout
    Files.delete(data.resolve("ledgers"));
    Files.move(aside, data.resolve("ledgers"));
    assertEndsAtTheBaseline("r", "the machine went down under it");
  }

  @Test
  void aRestartOfTheMachineAfterACleanEndChangesNothing() throws Exception {
    leaveRunning("r");
    theMachineHasAnotherBootId();
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      assertThat(gateway.rollout("r").getState()).isEqualTo(RolloutState.CANARY);
    }
  }

  private void assertEndsAtTheBaseline(String rollout, String because) throws Exception {
    for (int start = 0; start < 2; start++) {
      try (RunningGateway gateway = RunningGateway.start(models, data)) {
        Rollout ended = gateway.rollout(rollout);
        assertThat(ended.getState()).isEqualTo(RolloutState.STOPPED);
        assertThat(ended.getReason()).contains(because);
        ModelInferResponse response = ask(gateway);
        assertThat(response.getModelVersion()).isEqualTo("1");
        assertThat(Calls.y(response)).isEqualTo(3);
        Event last = events(gateway).getLast();
        assertThat(last.getKind()).isEqualTo("stopped");
        assertThat(last.getRollout()).isEqualTo(rollout);
        assertThat(last.getReason()).contains(because);
        assertThat(kinds(gateway).stream().filter("stopped"::equals)).as("written down once").hasSize(1);
      }
    }
    assertHistoryIsWhole();
  }

  // --- what had flipped -----------------------------------------------------------------------------------------------

  @Test
  void aFlipThatWasNotWrittenDownIsWrittenDownOnceWithItsNumbers() throws Exception {
    leaveRunning("r");
    flip("r");
    assertFlipIsFound();
  }

  @Test
  void aFlipIsFoundEvenIfTheCandidateIsGone() throws Exception {
    leaveRunning("r");
    flip("r");
    removeTheCandidate();
    assertFlipIsFound();
  }

  @Test
  void aFlipIsFoundEvenIfTheMachineWentDown() throws Exception {
    leaveRunning("r");
    flip("r");
    theMachineGoesDown();
    assertFlipIsFound();
  }

  private void assertFlipIsFound() throws Exception {
    for (int start = 0; start < 2; start++) {
      try (RunningGateway gateway = RunningGateway.start(models, data)) {
        Rollout stopped = gateway.rollout("r");
        assertThat(stopped.getState()).isEqualTo(RolloutState.STOPPED);
        assertThat(stopped.getStop().getRule()).isEqualTo("error-rate");
        assertThat(stopped.getStop().getBad()).isBetween(1L, 5L);
        assertThat(stopped.getStop().getDispatched()).isEqualTo(stopped.getStop().getBad() + 1); // one had gone well
        assertThat(stopped.getReason()).contains(stopped.getStop().getBad() + " bad among").contains("found at start");
        assertThat(ask(gateway).getModelVersion()).isEqualTo("1");
        assertThat(kinds(gateway)).containsExactly("created", "stopped");
      }
    }
    assertHistoryIsWhole();
  }

  // --- a store that fails ---------------------------------------------------------------------------------------------

  @Test
  void aFlipThatTheStoreDoesNotTakeStandsAndIsWrittenLater() throws Exception {
    AtomicInteger failures = new AtomicInteger();
    try (Control control = new Control(failures)) {
      control.controller.create(note("r", CANARY), "test", false);
      failures.set(5);
      LiveRollout live = control.live("r");
      failUntilFlipped(live.ledger());
      await().until(() -> failures.get() < 4);
      assertThat(Exposure.isFlipped(live.ledger().exposure())).isTrue();
      await().until(() -> control.controller.get("r").stored().state().stage() instanceof Stage.Stopped);
      StoredRollout stored = control.controller.get("r").stored();
      assertThat(stored.firing()).isNotNull();
      assertThat(stored.reason()).contains("error-rate").contains(" bad among ");
      assertThat(control.controller.events("r", 0, 10)).extracting(AuditEvent::kind).containsExactly("created", "stopped");
    }
  }

  @Test
  void anAbortThatTheStoreDoesNotTakeStandsAndIsWrittenLaterAsWhatItIs() throws Exception {
    AtomicInteger failures = new AtomicInteger();
    try (Control control = new Control(failures)) {
      control.controller.create(note("r", CANARY), "test", false);
      failures.set(2);
      assertThatThrownBy(() -> control.controller.command("r", new RolloutEvent.Abort("enough"), "eve", 0))
          .isInstanceOf(ControlFailure.class)
          .hasMessageContaining("could not be written down");
      assertThat(Exposure.isFlipped(control.live("r").ledger().exposure())).isTrue();
      await().until(() -> control.controller.get("r").stored().state().stage().isEnded());
      AuditEvent last = control.controller.events("r", 0, 10).getLast();
      assertThat(last.kind()).isEqualTo("aborted");
      assertThat(last.reason()).isEqualTo("enough");
      assertThat(last.actor()).isEqualTo("eve");
    }
  }

  @Test
  void aStartThatCannotBeWrittenDownLeavesNoCandidateInTheWay() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, "n", 1);
    OnnxModels.linear(2, 1, 1).writeTo(models, "n", 2);
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(note("goes-on", CANARY));
      gateway.create(note("unconfirmed", CANARY).replace("model: m", "model: n"));
    }
    Files.delete(ledger("unconfirmed"));
    AtomicInteger failures = new AtomicInteger(1);
    assertThatThrownBy(() -> new Control(failures).close()).isInstanceOf(ControlFailure.class);
  }

  /// A control plane of its own, over a store that does not take the next so many changes.
  private final class Control implements AutoCloseable {
    private final SqliteStore store = SqliteStore.open(data.resolve("sluice.db"));
    private final LedgerFiles ledgers = new LedgerFiles(data.resolve("ledgers"));
    private final ModelRepository repository = ModelRepository.open(models, new OnnxRuntime());
    private final GatewayMetrics metrics = new GatewayMetrics();
    private final Lanes lanes = new Lanes();
    private final Routes routes = new Routes(repository, metrics);
    final RolloutController controller;

    Control(AtomicInteger failures) throws Exception {
      this.controller =
          new RolloutController(
              new Journal(
                  new FailingStore(store, failures), new ServingMarkers(data.resolve("serving")), Clock.systemUTC()),
              new Assembly(ledgers, routes, lanes, metrics),
              repository,
              routes,
              metrics,
              false,
              false);
      repository.loadAll();
      try {
        controller.start();
      } catch (ControlFailure e) {
        for (String model : List.of("m", "n")) {
          assertThat(routes.find(model, "").rollout()).as("the rollout of %s", model).isNull();
        }
        close();
        throw e;
      }
    }

    LiveRollout live(String rollout) throws ControlFailure {
      LiveRollout live = controller.get(rollout).live();
      assertThat(live).isNotNull();
      return requireNonNull(live);
    }

    @Override
    public void close() {
      controller.close();
      lanes.close();
      repository.close();
      metrics.close();
      ledgers.close();
      store.close();
    }
  }

  // --- parts ----------------------------------------------------------------------------------------------------------

  private void leaveRunning(String rollout) throws Exception {
    try (RunningGateway gateway = RunningGateway.start(models, data)) {
      gateway.create(note(rollout, CANARY));
      assertThat(Calls.variant(ask(gateway))).isEqualTo("candidate");
    }
  }

  private Path ledger(String rollout) {
    return data.resolve("ledgers").resolve(rollout + ".ledger");
  }

  private void removeTheCandidate() throws Exception {
    Files.delete(models.resolve("m/2/model.onnx"));
    Files.delete(models.resolve("m/2"));
  }

  /// As a process that was killed right after the flip leaves its ledger.
  private void flip(String rollout) throws Exception {
    onLedger(
        rollout,
        ledger -> {
          ledger.restore();
          failUntilFlipped(ledger);
        });
  }

  /// Every request that the candidate runs fails, until a rule has seen enough of it.
  private static void failUntilFlipped(EvidenceLedger ledger) {
    for (int request = 0; request < 5 && !Exposure.isFlipped(ledger.exposure()); request++) {
      Assignment assignment =
          new Assignment(
              Variant.CANDIDATE, false, 0, Exposure.epoch(ledger.exposure()), Exposure.ALL, Assignment.NO_KEY,
              ledger.ticket(0));
      ledger.assigned(assignment, 0);
      ledger.dispatchedLive(0, 0);
      ledger.record(new Observation.Failed(assignment, Variant.CANDIDATE, false, 1_000), 0);
    }
    assertThat(Exposure.isFlipped(ledger.exposure())).isTrue();
  }

  private void onLedger(String rollout, Consumer<EvidenceLedger> change) throws Exception {
    RolloutNote note = NoteReader.read(note(rollout, CANARY));
    EvidenceLedger.Plan plan = note.plan(1);
    try (LedgerFiles files = new LedgerFiles(data.resolve("ledgers"))) {
      LedgerFiles.Opened.Found found = (LedgerFiles.Opened.Found) files.open(rollout, plan.wordsNeeded());
      change.accept(new EvidenceLedger(plan, found.words()));
    }
  }

  private void theMachineGoesDown() throws Exception {
    Files.delete(data.resolve("clean-shutdown"));
    theMachineHasAnotherBootId();
  }

  private void theMachineHasAnotherBootId() throws Exception {
    try (Connection store = DriverManager.getConnection("jdbc:sqlite:" + data.resolve("sluice.db"));
        Statement statement = store.createStatement()) {
      assertThat(statement.executeUpdate("UPDATE meta SET value = 'another' WHERE name = 'boot-id'")).isEqualTo(1);
    }
  }

  private void assertHistoryIsWhole() {
    try (SqliteStore store = SqliteStore.open(data.resolve("sluice.db"))) {
      store.verify();
    }
  }

  private static ModelInferResponse ask(RunningGateway gateway) {
    return gateway.inference().modelInfer(Calls.of(1).build());
  }

  private static List<Event> events(RunningGateway gateway) {
    return gateway.rollouts().listEvents(ListEventsRequest.getDefaultInstance()).getEventsList();
  }

  private static List<String> kinds(RunningGateway gateway) {
    return events(gateway).stream().map(Event::getKind).toList();
  }
}
