package dev.sluice.gateway.control;

import dev.sluice.gateway.control.ControlFailure.Kind;
import dev.sluice.gateway.metrics.GatewayMetrics;
import dev.sluice.gateway.note.NoteProblemsException;
import dev.sluice.gateway.note.NoteReader;
import dev.sluice.gateway.routing.Lanes;
import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.routing.LiveRollout.Flip;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.gateway.store.AuditEvent;
import dev.sluice.gateway.store.Change;
import dev.sluice.gateway.store.LedgerFiles;
import dev.sluice.gateway.store.ServingMarkers;
import dev.sluice.gateway.store.ServingVersion;
import dev.sluice.gateway.store.StaleRevisionException;
import dev.sluice.gateway.store.Store;
import dev.sluice.gateway.store.StoreException;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.gateway.store.StoredRollout.Firing;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.ledger.LedgerWords;
import dev.sluice.router.rollout.Decision;
import dev.sluice.router.rollout.RolloutEvent;
import dev.sluice.router.rollout.RolloutMachine;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.RolloutState;
import dev.sluice.router.rollout.Stage;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.Stop;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.repository.Model;
import dev.sluice.runtime.repository.ModelRepository;
import java.security.SecureRandom;
import java.time.Clock;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The single writer of control state.
///
/// Commands and verdicts take the same way, one at a time on one thread: the [RolloutMachine] decides, the store writes the
/// decision down in one transaction, and only then is it acted on: the exposure is changed by compare-and-set and the routes
/// are replaced by one volatile write. **Only a flip goes the other way round**: it has happened in the data path, and is
/// written down here right after. A flip that cannot be written down stands, and writing it is tried again until it succeeds.
///
/// Readers see immutable views and never wait.
public final class RolloutController implements AutoCloseable {

  /// Whom the audit trail names when no person asked for a change.
  public static final String SLUICE = "sluice";

  private static final Logger log = LoggerFactory.getLogger(RolloutController.class);
  private static final long REVIEW_MILLIS = 100;

  /// Ended rollouts whose live evidence is kept for `explain`; older ones keep what is written down.
  private static final int ENDED_KEPT_MAX = 32;

  private final Store store;
  private final LedgerFiles ledgerFiles;
  private final ServingMarkers markers;
  private final ModelRepository repository;
  private final Routes routes;
  private final Lanes lanes;
  private final GatewayMetrics metrics;
  private final Clock clock;
  private final boolean lastMomentLost;
  private final SecureRandom salts = new SecureRandom();
  private final ScheduledExecutorService writer =
      Executors.newSingleThreadScheduledExecutor(
          task -> Thread.ofPlatform().daemon().name("sluice-control").unstarted(task));

  /// Confined to the writer.
  private final Map<String, Managed> rollouts = new LinkedHashMap<>();

  private volatile Map<String, RolloutView> views = Map.of();

  /// A rollout in the writer's hands.
  private static final class Managed {
    StoredRollout stored;
    final @Nullable RolloutNote note;
    final @Nullable RolloutMachine machine;
    @Nullable LiveRollout live;
    String waitingFor = "";
    @Nullable Flip unwrittenFlip;
    boolean flipSeen;

    Managed(StoredRollout stored, @Nullable RolloutNote note, @Nullable LiveRollout live) {
      this.stored = stored;
      this.note = note;
      this.machine = note == null ? null : new RolloutMachine(note);
      this.live = live;
    }

    boolean isLive() {
      return live != null && !stored.state().stage().isEnded();
    }
  }

  /// @param lastMomentLost whether the machine went down under the last process, so that the ledgers may miss its last moment
  public RolloutController(
      Store store,
      LedgerFiles ledgerFiles,
      ServingMarkers markers,
      ModelRepository repository,
      Routes routes,
      Lanes lanes,
      GatewayMetrics metrics,
      Clock clock,
      boolean lastMomentLost) {
    this.store = store;
    this.ledgerFiles = ledgerFiles;
    this.markers = markers;
    this.repository = repository;
    this.routes = routes;
    this.lanes = lanes;
    this.metrics = metrics;
    this.clock = clock;
    this.lastMomentLost = lastMomentLost;
  }

  // --- reading --------------------------------------------------------------------------------------------------------

  public List<RolloutView> list() {
    return List.copyOf(views.values());
  }

  public RolloutView get(String name) throws ControlFailure {
    RolloutView view = views.get(name);
    if (view == null) {
      throw unknown(name);
    }
    return view;
  }

  public List<AuditEvent> events(@Nullable String rollout, long afterRevision, int max) throws ControlFailure {
    try {
      return store.events(rollout, afterRevision, max);
    } catch (StoreException e) {
      throw new ControlFailure(Kind.UNAVAILABLE, String.valueOf(e.getMessage()));
    }
  }

  // --- commands -------------------------------------------------------------------------------------------------------

  /// Checks a note whole: against itself, and against the repository.
  public RolloutView create(String yaml, String actor, boolean validateOnly) throws ControlFailure {
    RolloutNote note = read(yaml);
    onWriter(() -> requireFree(note));
    CandidateCheck.prepare(note, repository); // loads and warms: not on the writer, which flips may be waiting for
    return onWriter(
        () -> {
          requireFree(note);
          long now = clock.millis();
          StoredRollout stored =
              StoredRollout.create(
                  note.name(), yaml, NoteReader.sha256(yaml), salts.nextLong(), new RolloutMachine(note).begin(now),
                  "created by " + actor);
          return validateOnly ? new RolloutView(stored, note, null, "") : begin(note, stored, actor);
        });
  }

  private RolloutView begin(RolloutNote note, StoredRollout stored, String actor) throws ControlFailure {
    LedgerWords words = ledgerFiles.create(note.name(), words(note));
    EvidenceLedger ledger = ledger(note, words);
    RolloutState state = stored.state();
    ledger.initialize(
        stored.salt() | 1, Exposure.of(state.epoch(), state.weightBasisPoints(), state.shadowBasisPoints()));
    Managed managed = new Managed(stored, note, null);
    write(managed, stored, actor, "created", "", new ServingVersion(note.model(), note.baselineVersion()), 0);
    managed.live = live(note, stored, ledger);
    rollouts.put(note.name(), managed);
    routes.serve(note.model(), note.baselineVersion());
    routes.begin(managed.live);
    publish();
    log.info("rollout '{}' begins: model '{}', baseline {}, candidate {}",
        note.name(), note.model(), note.baselineVersion(), note.candidateVersion());
    return view(managed);
  }

  /// Lets a person's command happen to a rollout.
  ///
  /// @param expectedRevision 0 for whatever the revision is
  public RolloutView command(String name, RolloutEvent event, String actor, long expectedRevision)
      throws ControlFailure {
    return onWriter(
        () -> {
          Managed managed = rollouts.get(name);
          if (managed == null) {
            throw unknown(name);
          }
          if (expectedRevision != 0 && expectedRevision != managed.stored.revision()) {
            throw new ControlFailure(
                Kind.STALE,
                "rollout '%s' is at revision %d, not %d: look again and decide anew"
                    .formatted(name, managed.stored.revision(), expectedRevision));
          }
          apply(managed, event, actor);
          return view(managed);
        });
  }

  // --- the writer -----------------------------------------------------------------------------------------------------

  private void apply(Managed managed, RolloutEvent event, String actor) throws ControlFailure {
    LiveRollout live = managed.live;
    if (managed.machine == null || live == null) {
      if (event instanceof RolloutEvent.Abort) {
        return; // ended long ago: aborting it changes nothing
      }
      throw new ControlFailure(Kind.REFUSED, "rollout '%s' has ended".formatted(managed.stored.name()));
    }
    Decision decision =
        managed.machine.decide(managed.stored.state(), event, new LedgerEvidence(live.ledger()), clock.millis());
    switch (decision) {
      case Decision.Hold hold -> hold(managed, hold.waitingFor());
      case Decision.Refuse refuse ->
          throw new ControlFailure(
              Kind.REFUSED, "rollout '%s': %s".formatted(managed.stored.name(), refuse.reason()));
      case Decision.Move move -> move(managed, live, move, actor);
    }
  }

  private void hold(Managed managed, String waitingFor) {
    if (!managed.waitingFor.equals(waitingFor)) {
      managed.waitingFor = waitingFor;
      publish();
    }
  }

  private void move(Managed managed, LiveRollout live, Decision.Move move, String actor) throws ControlFailure {
    RolloutState next = move.next();
    RolloutNote note = live.note();
    if (next.stage() instanceof Stage.Aborted) {
      live.flipByHand(); // as a stop rule's: first the baseline, then the paper
    }
    long before = live.ledger().exposure();
    ServingVersion serving =
        switch (next.stage()) {
          case Stage.CoolingDown _, Stage.Promoted _ -> new ServingVersion(note.model(), note.candidateVersion());
          case Stage.Stopped _, Stage.Aborted _ -> new ServingVersion(note.model(), note.baselineVersion());
          case Stage.Running _, Stage.Paused _ -> null;
        };
    Firing firing = next.stage() instanceof Stage.Stopped ? firing(live, managed.unwrittenFlip) : null;
    write(managed, moved(managed.stored, next, move.reason(), firing), actor, move.kind(), move.reason(), serving, 0);
    if (serving != null) {
      routes.serve(serving.model(), serving.version());
    }
    if (next.stage().isEnded()) {
      routes.end(live);
      live.close();
      forgetOldest();
    } else if (!Exposure.isFlipped(before)) {
      // If a stop rule flips between the read and this swap, the swap fails and the flip is written next.
      live.ledger().expose(before, Exposure.of(next.epoch(), next.weightBasisPoints(), next.shadowBasisPoints()));
    }
    managed.waitingFor = "";
    publish();
    log.info("rollout '{}' {}: {}", note.name(), move.kind(), move.reason());
  }

  private void write(
      Managed managed,
      StoredRollout stored,
      String actor,
      String kind,
      String reason,
      @Nullable ServingVersion serving,
      long expectedRevision)
      throws ControlFailure {
    try {
      String detail = RolloutDetail.json(stored, managed.live);
      AuditEvent event =
          store.commit(new Change(stored, actor, kind, reason, detail, serving, expectedRevision, clock.millis()));
      managed.stored = atRevision(stored, event);
      if (serving != null) {
        markers.write(serving);
      }
    } catch (StaleRevisionException e) {
      throw new ControlFailure(Kind.STALE, String.valueOf(e.getMessage()));
    } catch (StoreException e) {
      throw new ControlFailure(
          Kind.UNAVAILABLE, "rollout '%s': could not be written down: %s".formatted(stored.name(), e.getMessage()));
    }
  }

  private static StoredRollout atRevision(StoredRollout stored, AuditEvent event) {
    long created = stored.createdMillis() == 0 ? event.timeMillis() : stored.createdMillis();
    return new StoredRollout(
        stored.name(), stored.noteYaml(), stored.noteSha256(), stored.salt(), stored.state(), stored.reason(),
        stored.firing(), event.revision(), created, event.timeMillis());
  }

  /// Called in the data path, right after a flip.
  private void flipped(LiveRollout rollout, Flip flip) {
    writer.execute(
        () -> {
          Managed managed = rollouts.get(rollout.note().name());
          if (managed != null) {
            managed.unwrittenFlip = flip;
            Stop stop = rollout.ledger().describe(flip.trip());
            metrics.stopRuleFired(rollout.note(), stop.rule(), stop.segment());
            log.warn("rollout '{}' flipped to baseline {} within {} ns: {}",
                rollout.note().name(), rollout.note().baselineVersion(), flip.nanos(), stop.reason());
            String request = flip.requestId().isEmpty() ? "" : " (request '" + flip.requestId() + "')";
            writeFlip(managed, stop.reason() + request);
          }
        });
  }

  private void writeFlip(Managed managed, String reason) {
    try {
      apply(managed, new RolloutEvent.Flipped(reason), SLUICE);
      managed.unwrittenFlip = null;
    } catch (ControlFailure e) {
      log.error("the flip of rollout '{}' stands but is not written down yet: {}",
          managed.stored.name(), e.getMessage());
    }
  }

  private @Nullable Firing firing(LiveRollout live, @Nullable Flip flip) {
    EvidenceLedger.Trip trip = flip != null ? flip.trip() : live.ledger().trip();
    return trip == null
        ? null
        : new Firing(live.ledger().describe(trip), clock.millis(), flip == null ? 0 : flip.nanos());
  }

  private static StoredRollout moved(
      StoredRollout stored, RolloutState next, String reason, @Nullable Firing firing) {
    return new StoredRollout(
        stored.name(), stored.noteYaml(), stored.noteSha256(), stored.salt(), next, reason, firing, stored.revision(),
        stored.createdMillis(), stored.updatedMillis());
  }

  /// Time has passed: does a step's condition hold, has a cool-down ended, is a flip still to be written down?
  private void review() {
    for (Managed managed : List.copyOf(rollouts.values())) {
      if (!managed.isLive()) {
        continue;
      }
      LiveRollout live = managed.live;
      if (live != null && Exposure.isFlipped(live.ledger().exposure())) {
        if (managed.flipSeen) {
          EvidenceLedger.Trip trip = live.ledger().trip();
          writeFlip(managed, trip == null ? "flipped to the baseline" : live.ledger().describe(trip).reason());
        }
        managed.flipSeen = true; // the thread that flipped reports it itself: only its failure is left to this review
        continue;
      }
      try {
        apply(managed, new RolloutEvent.Review(), SLUICE);
      } catch (ControlFailure e) {
        log.error("rollout '{}' stays where it is: {}", managed.stored.name(), e.getMessage());
      }
    }
  }

  // --- coming back ----------------------------------------------------------------------------------------------------

  /// Takes up what the store and the ledgers hold, before the first request is served. A rollout whose state cannot be
  /// confirmed is ended at its baseline, with the reason in the audit trail.
  public void start() throws ControlFailure {
    onWriter(
        () -> {
          store.servingVersions().forEach(this::serve);
          for (StoredRollout stored : store.rollouts()) {
            restore(stored);
          }
          publish();
          return null;
        });
    var _ = writer.scheduleWithFixedDelay(this::reviewSafely, REVIEW_MILLIS, REVIEW_MILLIS, TimeUnit.MILLISECONDS);
  }

  /// A version that a rollout made the default is served whatever the model's version policy names.
  private void serve(String model, long version) {
    routes.serve(model, version);
    Model found = repository.find(model);
    if (found != null && found.version(version) == null) {
      try {
        repository.load(model, version);
      } catch (ModelLoadException e) {
        log.error("model '{}' has no default: its version {} does not load: {}", model, version, e.getMessage());
      }
    }
  }

  private void reviewSafely() {
    try {
      review();
    } catch (RuntimeException e) {
      log.error("the review of rollouts failed", e);
    }
  }

  private void restore(StoredRollout stored) throws ControlFailure {
    RolloutNote note;
    try {
      note = read(stored.noteYaml());
    } catch (ControlFailure e) {
      rollouts.put(stored.name(), new Managed(stored, null, null));
      if (!stored.state().stage().isEnded()) {
        endUnconfirmed(stored, "its note cannot be read any more: " + e.getMessage());
      }
      return;
    }
    if (stored.state().stage().isEnded()) {
      rollouts.put(stored.name(), new Managed(stored, note, null));
      return;
    }
    switch (ledgerFiles.open(note.name(), words(note))) {
      case LedgerFiles.Opened.Missing _ -> endUnconfirmed(stored, "its evidence ledger is missing");
      case LedgerFiles.Opened.Unusable unusable -> endUnconfirmed(stored, unusable.reason());
      case LedgerFiles.Opened.Found found -> {
        EvidenceLedger ledger = ledger(note, found.words());
        String doubt = doubt(stored, ledger);
        if (doubt.isEmpty()) {
          resume(stored, note, ledger);
        } else {
          endUnconfirmed(stored, doubt);
        }
      }
    }
  }

  /// Why the ledger in memory cannot be trusted to be this rollout's latest; empty if it can.
  private String doubt(StoredRollout stored, EvidenceLedger ledger) {
    if (ledger.mark() != (stored.salt() | 1)) {
      return "its evidence ledger belongs to another rollout";
    }
    if (lastMomentLost) {
      return "the machine went down under it, and a flip in the last moment may be lost";
    }
    long word = ledger.exposure();
    return !Exposure.isFlipped(word) && Exposure.epoch(word) > stored.state().epoch()
        ? "its ledger is at epoch %d, but only epoch %d was written down"
            .formatted(Exposure.epoch(word), stored.state().epoch())
        : "";
  }

  private void resume(StoredRollout stored, RolloutNote note, EvidenceLedger ledger) throws ControlFailure {
    try {
      CandidateCheck.prepare(note, repository);
    } catch (ControlFailure e) {
      ledger.flip(null);
      endUnconfirmed(stored, String.valueOf(e.getMessage()));
      return;
    }
    RolloutState state = stored.state();
    long word = ledger.exposure();
    if (!Exposure.isFlipped(word)) {
      // The process may have died between writing a change down and making it.
      ledger.expose(word, Exposure.of(state.epoch(), state.weightBasisPoints(), state.shadowBasisPoints()));
    }
    Managed managed = new Managed(stored, note, live(note, stored, ledger));
    rollouts.put(note.name(), managed);
    LiveRollout live = managed.live;
    if (live == null) {
      throw new IllegalStateException("just made");
    }
    routes.serve(note.model(), note.baselineVersion());
    routes.begin(live);
    if (Exposure.isFlipped(word)) {
      EvidenceLedger.Trip trip = ledger.trip();
      writeFlip(
          managed,
          trip == null
              ? "flipped to the baseline just before the process ended; the reason was lost with it"
              : ledger.describe(trip).reason() + " (found at start: the process ended before it was written down)");
    } else {
      log.info("rollout '{}' goes on: {}", note.name(), state);
    }
  }

  /// Nothing can be confirmed, so the baseline serves: loudly, and for good.
  private void endUnconfirmed(StoredRollout stored, String because) throws ControlFailure {
    String reason = "ended at the baseline: " + because;
    RolloutState state = stored.state();
    RolloutState ended =
        new RolloutState(new Stage.Stopped(reason), state.epoch() + 1, 0, 0, state.observedAtEntry());
    Managed managed = rollouts.computeIfAbsent(stored.name(), _ -> new Managed(stored, noteOrNull(stored), null));
    ServingVersion serving =
        managed.note == null ? null : new ServingVersion(managed.note.model(), managed.note.baselineVersion());
    write(managed, moved(stored, ended, reason, null), SLUICE, "stopped", reason, serving, 0);
    if (serving != null) {
      routes.serve(serving.model(), serving.version());
    }
    log.error("rollout '{}' {}", stored.name(), reason);
  }

  private static @Nullable RolloutNote noteOrNull(StoredRollout stored) {
    try {
      return read(stored.noteYaml());
    } catch (ControlFailure e) {
      return null;
    }
  }

  // --- parts ----------------------------------------------------------------------------------------------------------

  private static RolloutNote read(String yaml) throws ControlFailure {
    try {
      return NoteReader.read(yaml);
    } catch (NoteProblemsException e) {
      throw new ControlFailure(Kind.INVALID_NOTE, String.valueOf(e.getMessage()), e.problems());
    }
  }

  private RolloutNote requireFree(RolloutNote note) throws ControlFailure {
    if (rollouts.containsKey(note.name())) {
      throw new ControlFailure(
          Kind.ALREADY_EXISTS,
          "rollout '%s' exists already; a new attempt needs a new name".formatted(note.name()));
    }
    for (Managed other : rollouts.values()) {
      if (other.isLive() && other.note != null && other.note.model().equals(note.model())) {
        throw new ControlFailure(
            Kind.REFUSED,
            "model '%s' is in rollout '%s' already: one at a time".formatted(note.model(), other.note.name()));
      }
    }
    return note;
  }

  private static int words(RolloutNote note) {
    return EvidenceLedger.wordsNeeded(note.stopRules().size(), new Segments(note.segments()).count());
  }

  private static EvidenceLedger ledger(RolloutNote note, LedgerWords words) {
    Segments segments = new Segments(note.segments());
    return new EvidenceLedger(new ArmedRules(note.stopRules(), note.alpha(), segments), segments, words);
  }

  private LiveRollout live(RolloutNote note, StoredRollout stored, EvidenceLedger ledger) {
    return new LiveRollout(note, stored.salt(), ledger, routes, lanes, metrics.rollout(note), this::flipped);
  }

  private record LedgerEvidence(EvidenceLedger ledger) implements RolloutMachine.Evidence {
    @Override
    public long comparisonsCompleted(int segment) {
      return ledger.comparisonsCompleted(segment);
    }

    @Override
    public long liveCompleted(int segment) {
      return ledger.liveCompleted(segment);
    }
  }

  private void forgetOldest() {
    List<Managed> ended =
        rollouts.values().stream().filter(m -> m.live != null && m.stored.state().stage().isEnded()).toList();
    for (int i = 0; i < ended.size() - ENDED_KEPT_MAX; i++) {
      ended.get(i).live = null;
      ledgerFiles.retire(ended.get(i).stored.name()); // no request of so old a rollout is in flight any more
    }
  }

  private static RolloutView view(Managed managed) {
    return new RolloutView(managed.stored, managed.note, managed.live, managed.waitingFor);
  }

  private void publish() {
    Map<String, RolloutView> published = new LinkedHashMap<>();
    List<GatewayMetrics.StageRow> stages = new ArrayList<>();
    rollouts.forEach(
        (name, managed) -> {
          published.put(name, view(managed));
          if (managed.note != null) {
            stages.add(
                new GatewayMetrics.StageRow(
                    name, managed.note.model(), RolloutMessages.state(managed.stored.state(), managed.note).name()));
          }
        });
    views = Collections.unmodifiableMap(published);
    metrics.stages(stages);
  }

  private static ControlFailure unknown(String name) {
    return new ControlFailure(Kind.NOT_FOUND, "rollout '%s' does not exist".formatted(name));
  }

  private <T> T onWriter(Callable<T> work) throws ControlFailure {
    try {
      return writer.submit(work).get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ControlFailure(Kind.UNAVAILABLE, "the gateway is shutting down");
    } catch (RejectedExecutionException e) {
      throw new ControlFailure(Kind.UNAVAILABLE, "the gateway is shutting down");
    } catch (ExecutionException e) {
      if (e.getCause() instanceof ControlFailure failure) {
        throw failure;
      }
      log.error("a control command failed in the gateway itself", e.getCause());
      throw new ControlFailure(Kind.UNAVAILABLE, "the command failed in the gateway itself: " + e.getCause());
    }
  }

  /// Lets running commands and waiting flips finish; live rollouts stay as they are for the next start.
  @Override
  public void close() {
    writer.shutdown();
    try {
      if (!writer.awaitTermination(10, TimeUnit.SECONDS)) {
        log.error("control commands were still waiting to be written down");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    views.values().forEach(view -> {
      if (view.live() != null) {
        view.live().close();
      }
    });
  }
}
