package dev.sluice.gateway.control;

import dev.sluice.gateway.control.ControlFailure.Kind;
import dev.sluice.gateway.control.ManagedRollout.UnwrittenAbort;
import dev.sluice.gateway.metrics.GatewayMetrics;
import dev.sluice.gateway.note.NoteReader;
import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.routing.LiveRollout.Flip;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.gateway.store.AuditEvent;
import dev.sluice.gateway.store.ServingVersion;
import dev.sluice.gateway.store.Store;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.gateway.store.StoredRollout.Firing;
import dev.sluice.proto.control.v1.Replay;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutReport;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.rollout.Decision;
import dev.sluice.router.rollout.RolloutEvent;
import dev.sluice.router.rollout.RolloutMachine;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.RolloutState;
import dev.sluice.router.rollout.Stage;
import dev.sluice.router.stop.Stop;
import dev.sluice.runtime.repository.ModelRepository;
import java.security.SecureRandom;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The single writer of control state.
///
/// Commands and verdicts take the same way, one at a time on one thread: the [RolloutMachine] decides, the [Journal] writes the
/// decision down, and only then is it acted on: the exposure is changed by compare-and-set and the routes are replaced by one
/// volatile write. **Only a flip goes the other way round**: it has happened in the data path, and is written down here right
/// after. A flip that cannot be written down stands, and writing it is tried again until it succeeds.
///
/// Readers see immutable views and never wait.
public final class RolloutController implements AutoCloseable {

  /// Whom the audit trail names when no person asked for a change.
  public static final String SLUICE = "sluice";

  private static final Logger log = LoggerFactory.getLogger(RolloutController.class);
  private static final long REVIEW_MILLIS = 100;

  private final Journal journal;
  private final Assembly assembly;
  private final Restoration restoration;
  private final Labels labels;
  private final ModelRepository repository;
  private final Routes routes;
  private final GatewayMetrics metrics;
  private final SecureRandom salts = new SecureRandom();
  private final ReentrantLock creating = new ReentrantLock();
  private final SingleWriter writer = new SingleWriter();
  private final RolloutRegistry rollouts;

  /// @param processDied whether the last process did not end in good order
  /// @param lastMomentLost whether the machine went down under the last process, so that ledgers may miss its last moment
  public RolloutController(
      Journal journal,
      Assembly assembly,
      ModelRepository repository,
      Routes routes,
      GatewayMetrics metrics,
      boolean processDied,
      boolean lastMomentLost) {
    this.journal = journal;
    this.assembly = assembly;
    this.restoration = new Restoration(assembly, repository, processDied, lastMomentLost);
    this.labels = new Labels(journal, repository, routes);
    this.repository = repository;
    this.routes = routes;
    this.metrics = metrics;
    this.rollouts = new RolloutRegistry(metrics);
  }

  // --- reading --------------------------------------------------------------------------------------------------------

  public List<RolloutView> list() {
    return rollouts.views();
  }

  public RolloutView get(String name) throws ControlFailure {
    RolloutView view = rollouts.view(name);
    if (view == null) {
      throw RolloutRegistry.unknown(name);
    }
    return view;
  }

  /// A rollout in the words of the control API.
  Rollout message(String name) throws ControlFailure {
    return records().rollout(get(name), nowMillis());
  }

  /// Weighs the log of a rollout again.
  public Replay replay(String name) throws ControlFailure {
    RolloutView view = get(name);
    return view.live() == null
        ? records().replay(view)
        : writer.call(
            () -> { // which alone takes a ledger's memory away
              ManagedRollout rollout = rollouts.get(name);
              return rollout.live == null
                  ? records().replay(rollout.view())
                  : Replays.of(rollout.stored, rollout.live.ledger());
            });
  }

  /// Everything that a report of a rollout is made of.
  public RolloutReport report(String name) throws ControlFailure {
    RolloutView view = get(name);
    RolloutReport.Builder report =
        view.live() == null
            ? records().report(view, nowMillis())
            : writer.call(() -> Records.report(rollouts.get(name), nowMillis()));
    List<AuditEvent> events = journal.events(name, 0, Store.EVENTS_MAX);
    records().complete(report, events, nowMillis());
    try {
      report.setReplay(replay(name));
    } catch (ControlFailure e) {
      report.setNoReplay(String.valueOf(e.getMessage()));
    }
    return report.build();
  }

  /// The time by the clock that decisions are made by.
  long nowMillis() {
    return journal.clock().millis();
  }

  private Records records() {
    return new Records(assembly.ledgerFiles());
  }

  public List<AuditEvent> events(@Nullable String rollout, long afterRevision, int max) throws ControlFailure {
    return journal.events(rollout, afterRevision, max);
  }

  // --- commands -------------------------------------------------------------------------------------------------------

  /// Starts a rollout.
  ///
  /// @param validateOnly checks the note whole, against itself and against the repository, and changes nothing
  public RolloutView create(String yaml, String actor, boolean validateOnly) throws ControlFailure {
    RolloutNote note = Notes.read(yaml);
    // One at a time: two checks of the same model would undo each other's loading.
    creating.lock();
    try {
      writer.call(() -> rollouts.requireFree(note));
      return create(note, yaml, actor, validateOnly);
    } finally {
      creating.unlock();
    }
  }

  /// Versions are loaded and warmed here, and not on the writer, which a flip may be waiting for. Until the rollout begins the
  /// model's default stays where it is: the newest version is the candidate now.
  private RolloutView create(RolloutNote note, String yaml, String actor, boolean validateOnly) throws ControlFailure {
    try (Routes.Hold _ = routes.hold(note.model())) {
      CandidateCheck.Loaded loaded = CandidateCheck.prepare(note, repository);
      RolloutState first = new RolloutMachine(note).begin(nowMillis());
      StoredRollout stored =
          StoredRollout.create(
              note.name(), yaml, NoteReader.sha256(yaml), salts.nextLong(), attempt(note), first,
              "created by " + actor);
      if (validateOnly) {
        loaded.undo(repository);
        return new RolloutView(stored, note, null);
      }
      try {
        return writer.call(() -> begin(rollouts.requireFree(note), stored, actor));
      } catch (ControlFailure e) {
        loaded.undo(repository);
        throw e;
      }
    }
  }

  /// How many-th attempt to release the same candidate this is.
  private int attempt(RolloutNote note) {
    return 1
        + (int)
            rollouts.views().stream()
                .map(RolloutView::note)
                .filter(
                    earlier ->
                        earlier != null
                            && earlier.mode() == RolloutNote.Mode.LIVE // a dry run stops nothing, and spends nothing
                            && earlier.model().equals(note.model())
                            && earlier.candidateVersion() == note.candidateVersion())
                .count();
  }

  private RolloutView begin(RolloutNote note, StoredRollout stored, String actor) throws ControlFailure {
    LiveRollout live = assembly.live(note, stored, assembly.createLedger(note, stored), this::flipped);
    ManagedRollout rollout = new ManagedRollout(stored, note, live);
    try {
      ServingVersion baseline = new ServingVersion(note.model(), note.baselineVersion());
      rollout.stored =
          journal.write(
              rollout, new Journal.Entry(stored.state(), actor, "created", stored.reason(), null, baseline));
    } catch (ControlFailure e) {
      live.close();
      assembly.retireLedger(note.name());
      throw e;
    }
    rollout.course.sample(nowMillis(), live.ledger(), rollout.stored, note, true);
    join(rollout, note, live);
    rollouts.publish();
    log.info("rollout '{}' begins: model '{}', baseline {}, candidate {}",
        note.name(), note.model(), note.baselineVersion(), note.candidateVersion());
    return rollout.view();
  }

  private void join(ManagedRollout rollout, RolloutNote note, LiveRollout live) {
    rollouts.put(rollout);
    routes.serve(note.model(), note.baselineVersion());
    routes.begin(live);
  }

  /// Lets a person's command happen to a rollout.
  ///
  /// @param expectedRevision 0 for whatever the revision is
  public RolloutView command(String name, RolloutEvent event, String actor, long expectedRevision)
      throws ControlFailure {
    RolloutView seen = rollouts.view(name);
    if (event instanceof RolloutEvent.Abort
        && seen != null
        && seen.live() != null
        && !seen.stored().state().stage().isEnded()) {
      seen.live().flipByHand(); // as a stop rule's: first the baseline, then the paper, however long the writer takes
    }
    return writer.call(
        () -> {
          ManagedRollout rollout = rollouts.get(name);
          if (expectedRevision != 0 && expectedRevision != rollout.stored.revision()) {
            throw new ControlFailure(
                Kind.STALE,
                "rollout '%s' is at revision %d, not %d: look again and decide anew"
                    .formatted(name, rollout.stored.revision(), expectedRevision));
          }
          apply(rollout, event, actor);
          return rollout.view();
        });
  }

  /// Gives a loaded version of a model a name, or moves the name to it.
  public void setLabel(String model, String label, long version, String actor, String reason) throws ControlFailure {
    writer.call(
        () -> {
          labels.set(model, label, version, actor, reason);
          return true;
        });
  }

  /// @return the version that had the label
  public long removeLabel(String model, String label, String actor, String reason) throws ControlFailure {
    return writer.call(() -> labels.remove(model, label, actor, reason));
  }

  // --- decisions ------------------------------------------------------------------------------------------------------

  private void apply(ManagedRollout rollout, RolloutEvent event, String actor) throws ControlFailure {
    LiveRollout live = rollout.live;
    if (rollout.machine == null || live == null) {
      if (event instanceof RolloutEvent.Abort) {
        return; // ended long ago: aborting it changes nothing
      }
      throw new ControlFailure(Kind.REFUSED, "rollout '%s' has ended".formatted(rollout.stored.name()));
    }
    boolean ends = event instanceof RolloutEvent.Abort || event instanceof RolloutEvent.Flipped;
    if (!ends && rollout.isLive() && Exposure.isFlipped(live.ledger().exposure())) {
      throw new ControlFailure(
          Kind.REFUSED, "rollout '%s' has just been flipped to its baseline".formatted(rollout.stored.name()));
    }
    Decision decision = rollout.machine.decide(rollout.stored.state(), event, live.evidence(), nowMillis());
    switch (decision) {
      case Decision.Hold _ -> {}
      case Decision.Refuse refuse ->
          throw new ControlFailure(
              Kind.REFUSED, "rollout '%s': %s".formatted(rollout.stored.name(), refuse.reason()));
      case Decision.Move move -> move(rollout, live, move, actor);
    }
  }

  private void move(ManagedRollout rollout, LiveRollout live, Decision.Move move, String actor) throws ControlFailure {
    RolloutState next = move.next();
    RolloutNote note = live.note();
    if (next.stage() instanceof Stage.Aborted) {
      live.flipByHand();
      rollout.unwrittenAbort = new UnwrittenAbort(move.reason(), actor);
    }
    long before = live.ledger().exposure();
    if (next.stage() instanceof Stage.Promoted && !live.ledger().expose(before, Assembly.exposure(next))) {
      return; // a stop rule was faster: its flip is written next. After the swap, evidence of the cool-down decides no more.
    }
    // A person's abort does not hide that a rule had fired in the same moment.
    Firing firing = next.stage().isEnded() ? firing(live, rollout.unwrittenFlip) : rollout.stored.firing();
    ServingVersion serving = serving(next.stage(), note);
    rollout.stored =
        journal.write(rollout, new Journal.Entry(next, actor, move.kind(), move.reason(), firing, serving));
    rollout.course.sample(nowMillis(), live.ledger(), rollout.stored, note, true);
    if (serving != null) {
      routes.serve(serving.model(), serving.version());
    }
    if (next.stage().isEnded()) {
      routes.end(live);
      live.close();
      rollouts.letGoOfOldest(assembly::retireLedger); // no request of so old a rollout is in flight any more
    } else if (!Exposure.isFlipped(before)) {
      if (move.kind().equals("advanced")) {
        live.ledger().enterStep();
      }
      // If a stop rule flips between the read and this swap, the swap fails and the flip is written next.
      live.ledger().expose(before, Assembly.exposure(next));
    }
    rollout.unwrittenAbort = null;
    rollouts.publish();
    records().keep(rollout, nowMillis());
    log.info("rollout '{}' {}: {}", note.name(), move.kind(), move.reason());
  }

  private static @Nullable ServingVersion serving(Stage stage, RolloutNote note) {
    return switch (stage) {
      case Stage.Promoted _ -> new ServingVersion(note.model(), note.candidateVersion());
      case Stage.Stopped _, Stage.Aborted _ -> new ServingVersion(note.model(), note.baselineVersion());
      // While rules are armed, what can be confirmed without them is the baseline.
      case Stage.Running _, Stage.Paused _, Stage.CoolingDown _ -> null;
    };
  }

  // --- flips ----------------------------------------------------------------------------------------------------------

  /// Called in the data path, right after a flip.
  private void flipped(LiveRollout live, Flip flip) {
    if (!writer.offer(() -> writeFlip(live, flip))) {
      log.warn("rollout '{}' flipped during the shutdown; the next start writes it down", live.note().name());
    }
  }

  private void writeFlip(LiveRollout live, Flip flip) {
    ManagedRollout rollout = rollouts.find(live.note().name());
    if (rollout != null) {
      rollout.unwrittenFlip = flip;
      Stop stop = live.ledger().describe(flip.trip());
      if (flip.dryRun()) {
        metrics.stopRuleWouldHaveFired(live.note(), stop.rule(), stop.segment());
        writeDryRun(rollout, stop);
        return;
      }
      metrics.stopRuleFired(live.note(), stop.rule(), stop.segment());
      log.warn("rollout '{}' flipped to baseline {} within {} ns: {}",
          live.note().name(), live.note().baselineVersion(), flip.nanos(), stop.reason());
      String request = flip.requestId().isEmpty() ? "" : " (request '" + flip.requestId() + "')";
      writeEnd(rollout, new RolloutEvent.Flipped(stop.reason() + request), SLUICE);
    }
  }

  /// The rules of a dry run have come to a verdict: that is written down, and changes nothing.
  private void writeDryRun(ManagedRollout rollout, Stop stop) {
    log.warn("rollout '{}' would have been flipped: {}", rollout.stored.name(), stop.reason());
    try {
      rollout.stored =
          journal.write(
              rollout,
              new Journal.Entry(
                  rollout.stored.state(), SLUICE, "would-have-stopped", "dry run: " + stop.reason(),
                  new Firing(stop, nowMillis(), 0), null));
      rollouts.publish();
      records().keep(rollout, nowMillis());
    } catch (ControlFailure e) {
      log.error("the verdict on rollout '{}' is not written down: {}", rollout.stored.name(), e.getMessage());
    }
  }

  private void writeEnd(ManagedRollout rollout, RolloutEvent event, String actor) {
    try {
      apply(rollout, event, actor);
      rollout.unwrittenFlip = null;
    } catch (ControlFailure e) {
      log.error("the flip of rollout '{}' stands but is not written down yet: {}",
          rollout.stored.name(), e.getMessage());
    }
  }

  private @Nullable Firing firing(LiveRollout live, @Nullable Flip flip) {
    EvidenceLedger.Trip trip = flip != null ? flip.trip() : live.ledger().trip();
    return trip == null
        ? null
        : new Firing(live.ledger().describe(trip), nowMillis(), flip == null ? 0 : flip.nanos());
  }

  // --- time -----------------------------------------------------------------------------------------------------------

  /// Time has passed: does a step's condition hold, has a cool-down ended, is a flip still to be written down?
  private void review() {
    for (ManagedRollout rollout : rollouts.all()) {
      LiveRollout live = rollout.live;
      if (live == null || !rollout.isLive()) {
        continue;
      }
      try {
        review(rollout, live);
      } catch (ControlFailure e) {
        log.error("rollout '{}' stays where it is: {}", rollout.stored.name(), e.getMessage());
      } catch (RuntimeException e) {
        log.error("rollout '{}' could not be reviewed", rollout.stored.name(), e); // the others can
      }
    }
  }

  private void review(ManagedRollout rollout, LiveRollout live) throws ControlFailure {
    live.tick();
    rollout.course.sample(nowMillis(), live.ledger(), rollout.stored, rollout.note, false);
    if (Exposure.isFlipped(live.ledger().exposure())) {
      reviewFlip(rollout, live);
    } else {
      apply(rollout, new RolloutEvent.Review(), SLUICE);
    }
  }

  /// Whoever flipped reports it at once; only what could not be written then is left to a review, the second one for a stop
  /// rule's flip.
  private void reviewFlip(ManagedRollout rollout, LiveRollout live) {
    UnwrittenAbort abort = rollout.unwrittenAbort;
    if (abort != null) {
      writeEnd(rollout, new RolloutEvent.Abort(abort.reason()), abort.actor());
    } else if (rollout.flipReviewed) {
      EvidenceLedger.Trip trip = live.ledger().trip();
      String reason = trip == null ? "flipped to the baseline" : live.ledger().describe(trip).reason();
      writeEnd(rollout, new RolloutEvent.Flipped(reason), SLUICE);
    }
    rollout.flipReviewed = true;
  }

  // --- coming back ----------------------------------------------------------------------------------------------------

  /// Takes up what the store and the ledgers hold, before the first request is served.
  public void start() throws ControlFailure {
    writer.call(
        () -> {
          try {
            restoreAll();
            return null;
          } catch (ControlFailure | RuntimeException e) {
            withdraw();
            throw e;
          }
        });
    writer.every(REVIEW_MILLIS, this::review);
  }

  private void restoreAll() throws ControlFailure {
    journal.store().servingVersions().forEach((model, version) -> Defaults.restore(model, version, repository, routes));
    labels.restore();
    for (StoredRollout stored : journal.store().rollouts()) {
      restore(stored);
    }
    rollouts.publish();
  }

  /// Without a control plane no rollout goes on: nobody could stop it.
  private void withdraw() {
    for (ManagedRollout rollout : rollouts.all()) {
      if (rollout.live != null) {
        routes.end(rollout.live);
        rollout.live.close();
      }
    }
    rollouts.clear();
  }

  private void restore(StoredRollout stored) throws ControlFailure {
    switch (restoration.restore(stored, this::flipped)) {
      case Restoration.Outcome.Ended(RolloutNote note) ->
          rollouts.put(new ManagedRollout(stored, note, null));
      case Restoration.Outcome.GoesOn(RolloutNote note, LiveRollout live) -> {
        join(takenUp(stored, note, live), note, live);
        log.info("rollout '{}' goes on: {}", stored.name(), stored.state());
      }
      case Restoration.Outcome.WasFlipped(RolloutNote note, LiveRollout live, String reason) -> {
        ManagedRollout rollout = takenUp(stored, note, live);
        Defaults.serve(note.model(), note.baselineVersion(), repository, routes);
        join(rollout, note, live);
        log.warn("rollout '{}' had flipped: {}", stored.name(), reason);
        writeEnd(rollout, new RolloutEvent.Flipped(reason), SLUICE);
      }
      case Restoration.Outcome.Unconfirmed(RolloutNote note, String because) ->
          endUnconfirmed(new ManagedRollout(stored, note, null), because);
    }
  }

  private ManagedRollout takenUp(StoredRollout stored, RolloutNote note, LiveRollout live) {
    ManagedRollout rollout = new ManagedRollout(stored, note, live);
    RolloutReport kept = records().kept(stored.name());
    if (kept != null) {
      rollout.course = Course.of(kept.getCourse(), live.ledger());
    }
    rollout.observedSince = nowMillis();
    return rollout;
  }

  /// Nothing can be confirmed, so the baseline serves: loudly, and for good.
  private void endUnconfirmed(ManagedRollout rollout, String because) throws ControlFailure {
    RolloutNote note = rollout.note;
    RolloutState state = rollout.stored.state();
    String reason = "ended at the baseline: " + because;
    RolloutState ended =
        new RolloutState(new Stage.Stopped(reason), state.epoch() + 1, 0, 0, state.observedAtEntry());
    ServingVersion baseline = note == null ? null : new ServingVersion(note.model(), note.baselineVersion());
    rollouts.put(rollout);
    rollout.stored =
        journal.write(rollout, new Journal.Entry(ended, SLUICE, "stopped", reason, null, baseline));
    if (baseline != null) {
      Defaults.serve(baseline.model(), baseline.version(), repository, routes);
    }
    log.error("rollout '{}' {}", rollout.stored.name(), reason);
  }

  /// Lets running commands and waiting flips finish; live rollouts stay as they are for the next start.
  @Override
  public void close() {
    writer.close();
    for (ManagedRollout rollout : List.copyOf(rollouts.all())) {
      if (rollout.isLive()) {
        records().keep(rollout, nowMillis());
      }
    }
    for (RolloutView view : rollouts.views()) {
      if (view.live() != null) {
        view.live().close();
      }
    }
  }
}
