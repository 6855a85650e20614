package dev.sluice.runtime.batching;

import dev.sluice.runtime.batching.BatchPolicy.Decision;
import dev.sluice.runtime.model.Batching;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.Priorities;
import dev.sluice.runtime.model.QueuePolicy;
import dev.sluice.runtime.model.QueuePolicy.TimeoutAction;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Scheduling;
import dev.sluice.runtime.model.VersionStatistics.FailureReason;
import dev.sluice.runtime.tensor.BufferPool;
import dev.sluice.runtime.tensor.Tensor;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The requests of one version: those that wait, and those that are being run on at most as many instances as its
/// [Scheduling] says.
///
/// Whatever may let a request go (it came, an instance is free again, a time is reached) asks the [BatchPolicy] under
/// the lock and acts after it. A request is taken out of the queue the moment an instance is kept for it, so what
/// waits is exactly what no instance has room for, and the bounds on that are exact. No thread waits here: a run
/// borrows one, and a delay or a timeout is an alarm.
///
/// What cannot be answered in time is refused before it waits: the [Pace] of the version's runs says how long that will
/// take. What has lost its time while it waited is refused when its turn comes. What waits is bounded in number, in
/// bytes, and by the [StandingQueue] in time; at a bound the newest request of whoever has most waiting goes.
///
/// Each request holds a lease on the version until it has ended and nothing reads its inputs any more.
public final class VersionQueue {

  private static final Logger log = LoggerFactory.getLogger(VersionQueue.class);

  private final ModelVersion version;
  private final Scheduling scheduling;
  private final boolean inTurn;
  private final Executor threads;
  private final Timekeeper time;
  private final BufferPool buffers = BufferPool.shared();

  /// Bytes of inputs that may wait; a single request may be larger.
  static final long BYTES_MAX = 256L << 20;

  private static final int TENANT_CHARS_MAX = 128;

  /// Bounds of what callers are told to wait before they come again, and what they are told when nobody knows.
  private static final long RETRY_NANOS_MIN = 10_000_000;

  private static final long RETRY_NANOS_MAX = 10_000_000_000L;
  private static final long RETRY_NANOS_UNKNOWN = 50_000_000;

  /// So long a refusal says something of the next request.
  private static final long OVERLOADED_NANOS = 100_000_000;

  private final Object lock = new Object();
  private final WaitingLine line = new WaitingLine();
  private final Pace pace;
  private final StandingQueue standing;
  private final ArrayDeque<QueuedRequest> turns = new ArrayDeque<>();
  private BatchPolicy policy;
  private Timekeeper.@Nullable Alarm alarm;
  private long alarmNanos;

  /// Instances in use. Also changed without the lock, by runs on the caller's own thread: those look at `waiting`
  /// after they have given theirs back, and a request looks for an instance after it has begun to wait.
  private final AtomicInteger busy = new AtomicInteger();

  private volatile int waiting;
  private volatile boolean overloaded;
  private volatile long overloadedNanos;
  private final AtomicInteger outcomesToTell = new AtomicInteger();

  VersionQueue(ModelVersion version, Executor threads, Timekeeper time) {
    this.version = version;
    this.scheduling = version.profile().scheduling();
    this.inTurn = scheduling.batching() != null && scheduling.batching().preserveOrdering();
    this.threads = threads;
    this.time = time;
    Batching batching = version.signature().maxBatchSize() > 0 ? scheduling.batching() : null;
    this.policy = new BatchPolicy(batching);
    this.pace =
        new Pace(scheduling.instances(), version.typicalRunNanos(), batching == null ? 1 : batching.rowsMax());
    this.standing = new StandingQueue(pace, scheduling.instances());
  }

  /// A request for the version, under a lease that the request takes over.
  ///
  /// @param priority 1 the most urgent; 0, or one that the version does not have: the version's default
  /// @param timeoutNanos the longest wait that the caller asks for; 0: what the version says. It can only be shorter
  ///     than that, and only if the version allows it
  /// @param startedNanos when the request came in, by [System#nanoTime]
  public QueuedRequest request(
      List<Tensor> inputs,
      List<String> outputs,
      int priority,
      long timeoutNanos,
      long startedNanos,
      QueuedRequest.Completion completion) {
    Priorities priorities = scheduling.priorities();
    int level = priority >= 1 && priority <= priorities.levels() ? priority : priorities.defaultLevel();
    QueuePolicy wait = priorities.policy(level);
    boolean shorter = wait.allowOverride() && timeoutNanos > 0 && timeoutNanos < wait.timeoutNanos();
    return new QueuedRequest(
        this,
        inputs,
        outputs,
        version.rows(inputs),
        level,
        shorter ? timeoutNanos : wait.timeoutNanos(),
        startedNanos,
        completion);
  }

  /// Requests that wait for an instance, or for others to share a run with.
  public int waiting() {
    return waiting;
  }

  /// Tenants that are known, which are those that have something waiting.
  int tenants() {
    synchronized (lock) {
      return line.tenants();
    }
  }

  /// How long a request that came now would wait for an instance, at most as far as one can tell. Looks at the queue without
  /// holding it.
  public long expectedWaitNanos() {
    return busy.get() < scheduling.instances() ? 0 : pace.waitNanos(waiting) + pace.longRunNanos() - pace.runNanos();
  }

  /// Whether requests wait because every instance is busy.
  public boolean isBackedUp() {
    return waiting > 0 && busy.get() >= scheduling.instances();
  }

  /// Whether it has refused a request lately because of others that wait.
  public boolean isOverloaded() {
    return overloaded && time.nanos() - overloadedNanos < OVERLOADED_NANOS;
  }

  // --- on the caller's thread -----------------------------------------------------------------------------------------

  /// Takes no lock: nobody else knows the request yet.
  boolean tryRunHere(QueuedRequest request, RunControl control) {
    if (inTurn || waiting > 0 || !takeInstance()) {
      return false;
    }
    long startedNanos = time.nanos();
    @Nullable List<Tensor> outputs = null;
    @Nullable NoAnswer why = null;
    try {
      outputs = version.run(request.inputs(), request.outputs(), control);
    } catch (ModelExecutionException e) {
      if (e.kind() == ModelExecutionException.Kind.TERMINATED) {
        giveInstanceBack();
        return false;
      }
      why = new NoAnswer.NotComputed(e);
    } catch (RuntimeException | Error e) {
      why = new NoAnswer.Broken(e);
    }
    giveInstanceBack();
    letGo(request);
    if (outputs != null) {
      long endedNanos = time.nanos();
      long inferNanos = endedNanos - startedNanos;
      pace.ran(inferNanos);
      version.statistics().executed(request.rows(), 0, inferNanos, 0);
      version.statistics().succeededAtOnce(request.rows(), endedNanos - request.startedNanos, inferNanos);
      tellAnswer(request, outputs);
    } else if (why != null) {
      failed(request, why);
    }
    return true;
  }

  private void giveInstanceBack() {
    busy.decrementAndGet();
    if (waiting > 0) {
      look();
    }
  }

  void submit(QueuedRequest request, String tenant, long leftNanos) {
    Todo todo;
    synchronized (lock) {
      if (request.state != QueuedRequest.State.NEW) {
        return; // cancelled before
      }
      long now = time.nanos();
      request.queuedNanos = now;
      request.tenant = inTurn ? "" : tenant.length() <= TENANT_CHARS_MAX ? tenant : tenant.substring(0, TENANT_CHARS_MAX);
      NoAnswer hopeless = tooLate(request, leftNanos, now);
      if (hopeless != null) {
        request.state = QueuedRequest.State.DONE;
        todo = new Todo();
        todo.refuse(request, hopeless);
      } else {
        request.state = QueuedRequest.State.WAITING;
        request.hasDeadline = leftNanos != Long.MAX_VALUE;
        request.finishNanos = now + leftNanos;
        line.add(request);
        waiting = line.size();
        todo = dispatch();
        keepBounds(request, todo);
        if (request.state == QueuedRequest.State.WAITING) {
          request.countedAsWaiting = true;
          version.statistics().waits();
        }
      }
    }
    carryOut(todo);
  }

  void cancel(QueuedRequest request) {
    @Nullable BatchRun abandoned = null;
    boolean running = false;
    synchronized (lock) {
      switch (request.state) {
        case NEW -> request.state = QueuedRequest.State.DONE;
        case WAITING -> leave(request, QueuedRequest.State.DONE);
        case RUNNING -> {
          running = true;
          request.state = QueuedRequest.State.DONE;
          BatchRun run = request.run;
          if (run != null && --run.callers == 0) {
            abandoned = run;
          }
        }
        case DONE -> {
          return;
        }
      }
    }
    if (abandoned != null) {
      abandoned.control.terminate();
    }
    if (running) {
      // The lease stays with the run.
      failed(request, new NoAnswer.Withdrawn());
    } else {
      refuse(request, new NoAnswer.Withdrawn());
    }
  }

  // --- under the lock -------------------------------------------------------------------------------------------------

  /// What has been decided under the lock, to be done after it.
  private static final class Todo {
    private final List<BatchRun> starts = new ArrayList<>(1);
    private final List<Refused> refused = new ArrayList<>(0);

    /// One that has left the queue or never came in.
    void refuse(QueuedRequest request, NoAnswer why) {
      refused.add(new Refused(request, why));
    }
  }

  /// It has left the queue, and waits to be told.
  private record Refused(QueuedRequest request, NoAnswer why) {}

  /// Why a request is not worth waiting for, before it waits; null if it is.
  private @Nullable NoAnswer tooLate(QueuedRequest request, long leftNanos, long now) {
    long runNanos = pace.runNanos();
    boolean mayExpire =
        request.timeoutNanos > 0 && scheduling.priorities().policy(request.level).action() == TimeoutAction.REJECT;
    if (runNanos == 0 || (leftNanos == Long.MAX_VALUE && !mayExpire)) {
      return null;
    }
    long longRunNanos = pace.longRunNanos();
    long spareNanos = leftNanos == Long.MAX_VALUE ? Long.MAX_VALUE : leftNanos - longRunNanos;
    request.patienceNanos = mayExpire ? Math.min(spareNanos, request.timeoutNanos) : spareNanos;
    boolean alone = line.isEmpty() && busy.get() < scheduling.instances();
    long waitNanos = alone ? 0 : pace.waitNanos(line.ahead(request.level, request.tenant));
    if (mayExpire && waitNanos > request.timeoutNanos) {
      standing.refused(request.patienceNanos, now);
      return new NoAnswer.TooLate(waitNanos, request.timeoutNanos, false, retryNanos());
    }
    // On an idle instance it costs nobody else's time: only what has hardly a chance is refused.
    request.isAlone = alone;
    if (leftNanos >= (alone ? pace.shortRunNanos() : waitNanos + longRunNanos)) {
      return null;
    }
    if (alone && leftNanos > 0 && pace.mayTry(now, leftNanos)) {
      request.isTry = true;
      return null;
    }
    standing.refused(request.patienceNanos, now);
    boolean hopeless = leftNanos < pace.shortRunNanos();
    return new NoAnswer.TooLate(waitNanos + runNanos, leftNanos, hopeless, retryNanos());
  }

  /// When what waits now will have run.
  private long retryNanos() {
    return pace.runNanos() == 0
        ? RETRY_NANOS_UNKNOWN
        : Math.clamp(pace.waitNanos(line.size()), RETRY_NANOS_MIN, RETRY_NANOS_MAX);
  }

  /// A request has come to wait, perhaps one too many.
  private void keepBounds(QueuedRequest last, Todo todo) {
    int sizeMax = scheduling.priorities().policy(last.level).sizeMax();
    if (line.size(last.level) > sizeMax) {
      shed(line.shedAtLevelOf(last), last, new NoAnswer.QueueFull(sizeMax, retryNanos()), todo);
    }
    if (line.size() > standing.limit()) {
      shed(line.shed(last), last, new NoAnswer.Shed(line.size() - 1, retryNanos()), todo);
    }
    while (line.bytes() > BYTES_MAX && line.size() > 1) {
      shed(line.shedByBytes(last), last, new NoAnswer.QueueBytesFull(BYTES_MAX, retryNanos()), todo);
    }
  }

  private void shed(QueuedRequest request, QueuedRequest last, NoAnswer why, Todo todo) {
    standing.refused(request.patienceNanos, last.queuedNanos);
    leave(request, QueuedRequest.State.DONE);
    todo.refuse(request, request == last ? why : new NoAnswer.Shed(line.size(), retryNanos()));
  }

  private boolean takeInstance() {
    while (true) {
      int taken = busy.get();
      if (taken >= scheduling.instances()) {
        return false;
      }
      if (busy.compareAndSet(taken, taken + 1)) {
        return true;
      }
    }
  }

  /// Lets go what may go, and sets the alarm for what has to wait for a time.
  private Todo dispatch() {
    Todo todo = new Todo();
    if (line.isEmpty()) {
      if (busy.get() == 0) {
        line.rest();
      }
      return todo;
    }
    long now = time.nanos();
    expire(now, todo);
    OptionalLong ready = OptionalLong.empty();
    boolean more = true;
    while (more && !line.isEmpty() && takeInstance()) {
      switch (policy.decide(line.inOrder(), now)) {
        case Decision.Cut<QueuedRequest>(List<QueuedRequest> requests) -> {
          if (dropTooLate(requests, now, todo)) {
            busy.decrementAndGet(); // others may take their places
          } else {
            todo.starts.add(cut(requests, now));
          }
        }
        case Decision.WaitUntil<QueuedRequest>(long nanos) -> {
          busy.decrementAndGet();
          ready = OptionalLong.of(nanos);
          more = false;
        }
        case Decision.Idle<QueuedRequest> _ -> {
          busy.decrementAndGet();
          more = false;
        }
      }
    }
    setAlarm(ready);
    setAlarm(line.nextExpiry());
    return todo;
  }

  /// What has too little time left to be answered is not run: it would only make those behind it late as well.
  private boolean dropTooLate(List<QueuedRequest> requests, long now, Todo todo) {
    long runNanos = pace.runNanos();
    boolean dropped = false;
    for (int i = 0; i < requests.size(); i++) {
      QueuedRequest request = requests.get(i);
      if (request.hasDeadline && !request.isAlone && request.finishNanos - now < runNanos) {
        leave(request, QueuedRequest.State.DONE);
        todo.refuse(
            request, new NoAnswer.TooLate(runNanos, Math.max(0, request.finishNanos - now), false, retryNanos()));
        dropped = true;
      }
    }
    return dropped;
  }

  private void expire(long now, Todo todo) {
    for (QueuedRequest request : line.expired(now)) {
      if (scheduling.priorities().policy(request.level).action() == TimeoutAction.DELAY) {
        line.delay(request);
      } else {
        leave(request, QueuedRequest.State.DONE);
        todo.refuse(request, new NoAnswer.TimedOut(request.timeoutNanos));
      }
    }
  }

  private BatchRun cut(List<QueuedRequest> requests, long now) {
    BatchRun batch = new BatchRun(requests);
    for (QueuedRequest request : requests) {
      standing.left(now - request.queuedNanos, now);
      leave(request, QueuedRequest.State.RUNNING);
      request.run = batch;
      if (inTurn) {
        request.inTurn = true;
        turns.add(request);
      }
    }
    // All that came is no proof that a run takes no more, but it takes as many as it took.
    if (!line.isEmpty() || requests.size() > pace.requestsPerRun()) {
      pace.filled(requests.size());
    }
    return batch;
  }

  private void leave(QueuedRequest request, QueuedRequest.State next) {
    if (next == QueuedRequest.State.RUNNING) {
      line.removeForRun(request);
    } else {
      line.remove(request);
    }
    if (line.isEmpty()) {
      standing.ranEmpty();
    }
    waiting = line.size();
    request.state = next;
    if (request.countedAsWaiting) {
      request.countedAsWaiting = false;
      version.statistics().endedWaiting();
    }
  }

  /// An alarm that rings too early does no harm, so one that is set is only ever moved forward.
  private void setAlarm(OptionalLong at) {
    if (at.isEmpty() || (alarm != null && alarmNanos - at.getAsLong() <= 0)) {
      return;
    }
    if (alarm != null) {
      alarm.cancel();
    }
    alarmNanos = at.getAsLong();
    alarm = time.alarm(alarmNanos, this::ring);
  }

  // --- after the lock -------------------------------------------------------------------------------------------------

  private void ring() {
    synchronized (lock) {
      alarm = null;
    }
    look();
  }

  private void look() {
    Todo todo;
    synchronized (lock) {
      todo = dispatch();
    }
    carryOut(todo);
  }

  private void carryOut(Todo todo) {
    for (int i = 0; i < todo.starts.size(); i++) {
      start(todo.starts.get(i));
    }
    for (int i = 0; i < todo.refused.size(); i++) {
      NoAnswer why = todo.refused.get(i).why();
      // One caller with too little time says nothing of the room that others have.
      if (!(why instanceof NoAnswer.TimedOut || why instanceof NoAnswer.TooLate)) {
        overloadedNanos = time.nanos();
        overloaded = true;
      }
      refuse(todo.refused.get(i).request(), why);
    }
  }

  private void start(BatchRun batch) {
    try {
      threads.execute(() -> work(batch));
    } catch (RejectedExecutionException e) {
      endWithoutRun(batch, new NoAnswer.ShutDown());
    } catch (Error e) {
      endWithoutRun(batch, new NoAnswer.Broken(e)); // no memory for a thread
    }
  }

  private void endWithoutRun(BatchRun first, NoAnswer why) {
    for (@Nullable BatchRun batch = first; batch != null; batch = next()) {
      for (QueuedRequest request : batch.requests) {
        ended(request, why);
      }
    }
  }

  // --- on a thread of the queue's -------------------------------------------------------------------------------------

  /// Runs the batch and whatever may go after it.
  private void work(BatchRun first) {
    for (@Nullable BatchRun batch = first; batch != null; batch = next()) {
      run(batch);
    }
  }

  /// Gives the instance back and takes it again if something may go.
  private @Nullable BatchRun next() {
    Todo todo;
    @Nullable BatchRun next;
    synchronized (lock) {
      busy.decrementAndGet();
      todo = dispatch();
      next = todo.starts.isEmpty() ? null : todo.starts.removeFirst();
    }
    carryOut(todo);
    return next;
  }

  private void run(BatchRun batch) {
    List<QueuedRequest> wanted = new ArrayList<>(batch.requests.size());
    for (int i = 0; i < batch.requests.size(); i++) {
      QueuedRequest request = batch.requests.get(i);
      if (isWanted(request)) {
        wanted.add(request);
      } else {
        ended(request, new NoAnswer.Withdrawn());
      }
    }
    if (wanted.size() == 1) {
      runAlone(wanted.getFirst(), batch.control);
    } else if (!wanted.isEmpty()) {
      runTogether(wanted, batch.control);
    }
  }

  private boolean isWanted(QueuedRequest request) {
    try {
      return request.completion.isWanted();
    } catch (RuntimeException e) {
      log.error("a caller of {} failed", version, e);
      return false;
    }
  }

  private void runAlone(QueuedRequest request, RunControl control) {
    long startedNanos = time.nanos();
    try {
      List<Tensor> outputs = version.run(request.inputs(), request.outputs(), control);
      succeededAlone(request, outputs, startedNanos);
    } catch (ModelExecutionException e) {
      if (e.kind() == ModelExecutionException.Kind.TERMINATED) {
        stopped(time.nanos() - startedNanos);
      }
      ended(request, new NoAnswer.NotComputed(e));
    } catch (RuntimeException | Error e) {
      ended(request, new NoAnswer.Broken(e));
    }
  }

  /// A run that was stopped would have taken even longer.
  private void stopped(long nanos) {
    if (nanos > pace.runNanos()) {
      pace.ran(nanos);
    }
  }

  private void runTogether(List<QueuedRequest> requests, RunControl control) {
    long startedNanos = time.nanos();
    long gatheredNanos;
    long computedNanos;
    List<Tensor> outputs;
    try (BatchTensors batch = BatchTensors.gather(requests, buffers)) {
      gatheredNanos = time.nanos();
      outputs = version.run(batch.inputs(), requests.getFirst().outputs(), control);
      computedNanos = time.nanos();
    } catch (ModelExecutionException | RuntimeException | Error e) {
      if (e instanceof ModelExecutionException broken && broken.kind() == ModelExecutionException.Kind.TERMINATED) {
        stopped(time.nanos() - startedNanos);
      }
      runOneByOne(requests); // one request's fault is not its mates'
      return;
    }
    @Nullable List<List<Tensor>> slices = BatchTensors.slices(outputs, requests);
    if (slices == null) {
      stopBatching(outputs, requests);
      runOneByOne(requests);
      return;
    }
    long rows = 0;
    for (int i = 0; i < requests.size(); i++) {
      rows += requests.get(i).rows();
    }
    long inputNanos = gatheredNanos - startedNanos;
    long inferNanos = computedNanos - gatheredNanos;
    long outputNanos = time.nanos() - computedNanos;
    ran(requests, inputNanos + inferNanos + outputNanos);
    version.statistics().executed(rows, inputNanos, inferNanos, outputNanos);
    for (int i = 0; i < requests.size(); i++) {
      succeeded(requests.get(i), slices.get(i), startedNanos, inputNanos, inferNanos, outputNanos);
    }
  }

  private void runOneByOne(List<QueuedRequest> requests) {
    for (QueuedRequest request : requests) {
      BatchRun alone = new BatchRun(List.of(request));
      synchronized (lock) {
        request.run = alone;
      }
      if (isWanted(request)) {
        runAlone(request, alone.control);
      } else {
        ended(request, new NoAnswer.Withdrawn());
      }
    }
  }

  private void stopBatching(List<Tensor> outputs, List<QueuedRequest> requests) {
    synchronized (lock) {
      policy = new BatchPolicy(null);
    }
    log.warn(
        "{} answers {} requests of {} rows with {}; its requests are not batched any more",
        version,
        requests.size(),
        requests.stream().mapToLong(QueuedRequest::rows).sum(),
        outputs.stream().map(output -> "'%s' of shape %s".formatted(output.name(), output.shape())).toList());
  }

  // --- ends -----------------------------------------------------------------------------------------------------------

  private void succeededAlone(QueuedRequest request, List<Tensor> outputs, long startedNanos) {
    long inferNanos = time.nanos() - startedNanos;
    ran(List.of(request), inferNanos);
    version.statistics().executed(request.rows(), 0, inferNanos, 0);
    succeeded(request, outputs, startedNanos, 0, inferNanos, 0);
  }

  /// A try that is answered in time proves that the pace was wrong.
  private void ran(List<QueuedRequest> requests, long nanos) {
    QueuedRequest first = requests.getFirst(); // what is tried runs on an idle instance, first of all
    if (first.isTry && nanos < pace.runNanos()) {
      pace.restart(nanos);
    } else {
      pace.ran(nanos);
    }
  }

  private void succeeded(
      QueuedRequest request,
      List<Tensor> outputs,
      long startedNanos,
      long inputNanos,
      long inferNanos,
      long outputNanos) {
    letGo(request);
    if (settle(request)) {
      answered(request, outputs, startedNanos - request.queuedNanos, inputNanos, inferNanos, outputNanos);
    }
  }

  private void answered(
      QueuedRequest request,
      List<Tensor> outputs,
      long queueNanos,
      long inputNanos,
      long inferNanos,
      long outputNanos) {
    long totalNanos = time.nanos() - request.startedNanos;
    version.statistics().succeeded(request.rows(), totalNanos, queueNanos, inputNanos, inferNanos, outputNanos);
    tell(request, () -> request.completion.succeeded(outputs));
  }

  /// After its run, or in place of it: unless its caller has gone before, this is the answer.
  private void ended(QueuedRequest request, NoAnswer why) {
    letGo(request);
    if (settle(request)) {
      failed(request, why);
    }
  }

  /// Nothing reads its inputs any more, and nothing of it needs the version.
  private void letGo(QueuedRequest request) {
    version.release();
    request.completion.inputsFree();
  }

  private boolean settle(QueuedRequest request) {
    synchronized (lock) {
      if (request.state != QueuedRequest.State.RUNNING) {
        return false;
      }
      request.state = QueuedRequest.State.DONE;
      if (request.run != null) {
        request.run.callers--; // of a run that may still lie ahead, for its mates
      }
      return true;
    }
  }

  /// Of a request that is done and was never taken for a run.
  private void refuse(QueuedRequest request, NoAnswer why) {
    letGo(request);
    failed(request, why);
  }

  private void failed(QueuedRequest request, NoAnswer why) {
    version.statistics().failed(reason(why), time.nanos() - request.startedNanos);
    tell(request, () -> request.completion.failed(why));
  }

  private static FailureReason reason(NoAnswer why) {
    return switch (why) {
      case NoAnswer.QueueFull _, NoAnswer.QueueBytesFull _, NoAnswer.TooLate _, NoAnswer.Shed _, NoAnswer.TimedOut _ ->
          FailureReason.REJECTED;
      case NoAnswer.Withdrawn _ -> FailureReason.CANCELED;
      case NoAnswer.NotComputed(ModelExecutionException cause) ->
          switch (cause.kind()) {
            case FAILED, OUT_OF_MEMORY, DEVICE_LOST -> FailureReason.BACKEND;
            case TERMINATED -> FailureReason.CANCELED;
            case INVALID_INPUT -> FailureReason.OTHER;
          };
      case NoAnswer.Broken _ -> FailureReason.BACKEND;
      case NoAnswer.ShutDown _ -> FailureReason.OTHER;
    };
  }

  private void tell(QueuedRequest request, Runnable outcome) {
    if (!request.inTurn) {
      tellNow(outcome);
      return;
    }
    synchronized (lock) {
      request.outcome = outcome;
    }
    tellInTurn();
  }

  /// For who is not told in turn.
  private void tellAnswer(QueuedRequest request, List<Tensor> outputs) {
    try {
      request.completion.succeeded(outputs);
    } catch (RuntimeException | Error e) {
      log.error("a caller of {} failed on its answer", version, e);
    }
  }

  /// One thread tells at a time; one that comes meanwhile leaves its outcome to it.
  private void tellInTurn() {
    if (outcomesToTell.getAndIncrement() > 0) {
      return;
    }
    int seen;
    do {
      seen = outcomesToTell.get();
      for (@Nullable Runnable outcome = outcomeInTurn(); outcome != null; outcome = outcomeInTurn()) {
        tellNow(outcome);
      }
    } while (outcomesToTell.addAndGet(-seen) > 0);
  }

  private @Nullable Runnable outcomeInTurn() {
    synchronized (lock) {
      QueuedRequest first = turns.peekFirst();
      if (first == null || first.outcome == null) {
        return null;
      }
      turns.removeFirst();
      return first.outcome;
    }
  }

  private void tellNow(Runnable outcome) {
    try {
      outcome.run();
    } catch (RuntimeException | Error e) {
      log.error("a caller of {} failed on its answer", version, e);
    }
  }

  /// The version is closed: nothing waits and nothing runs.
  void close() {
    synchronized (lock) {
      if (alarm != null) {
        alarm.cancel();
        alarm = null;
      }
    }
  }
}
