package dev.sluice.runtime.batching;

import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// One request on its way through a version's queue, and its caller's hand on it.
///
/// Either [#tryRunHere] returns true or [#submit] is called, once; then the completion is told exactly once.
public final class QueuedRequest implements BatchPolicy.Waiting {

  /// Where a request ends: exactly one of `succeeded` and `failed` is called, exactly once, on whatever thread brought
  /// the end about.
  public interface Completion {

    /// Asked just before the run, on the thread that would run it.
    boolean isWanted();

    /// The inputs are not read any more, by no run. Told once, before or after the end.
    default void inputsFree() {}

    void succeeded(List<Tensor> outputs);

    /// A [NoAnswer.TimedOut], [NoAnswer.TooLate] or [NoAnswer.Shed] may be told on the timer's thread or on another
    /// caller's, which must not be kept; all others on threads that may compute.
    void failed(NoAnswer why);
  }

  /// What has become of it.
  enum State {
    NEW,
    WAITING,
    /// Taken out of the queue for a run.
    RUNNING,
    /// Its completion has been told, or is about to be.
    DONE
  }

  private final VersionQueue queue;
  private final List<Tensor> inputs;
  private final List<String> outputs;
  private final long rows;
  private final long bytes;
  private final boolean canShare;
  final int level;
  final long timeoutNanos;
  final long startedNanos;
  final Completion completion;

  // Guarded by the queue's lock.
  State state = State.NEW;
  String tenant = "";

  /// Of the same tenant and rank, while it waits.
  @Nullable QueuedRequest older;

  @Nullable QueuedRequest newer;

  /// Whether it has to be answered before `finishNanos`.
  boolean hasDeadline;

  long finishNanos;

  /// How long it may wait at most; [Long#MAX_VALUE]: for ever.
  long patienceNanos = Long.MAX_VALUE;

  /// Whether it came when an instance was idle, and so takes nobody's time.
  boolean isAlone;

  /// Whether it runs to see if the queue is right to think that its time is too short.
  boolean isTry;

  long sequence;
  long queuedNanos;
  boolean expires;
  boolean delayed;
  boolean countedAsWaiting;
  @Nullable BatchRun run;

  /// Whether its outcome has to wait for those of the requests that ran before it.
  boolean inTurn;

  /// What its completion is to be told when its turn comes.
  @Nullable Runnable outcome;

  QueuedRequest(
      VersionQueue queue,
      List<Tensor> inputs,
      List<String> outputs,
      long rows,
      int level,
      long timeoutNanos,
      long startedNanos,
      Completion completion) {
    this.queue = queue;
    this.inputs = inputs;
    this.outputs = outputs;
    this.rows = rows;
    this.level = level;
    this.timeoutNanos = timeoutNanos;
    this.startedNanos = startedNanos;
    this.completion = completion;
    long size = 0;
    boolean alike = !inputs.isEmpty();
    for (int i = 0; i < inputs.size(); i++) {
      Tensor input = inputs.get(i);
      size += input.bytes().limit();
      alike &= input.shape().rank() > 0 && input.shape().dim(0) == rows;
    }
    this.bytes = size;
    this.canShare = alike;
  }

  /// Runs it now, on this thread, if an instance is free and nobody waits for one.
  ///
  /// @return false when it has to be submitted instead: there was no room, or the control ended the run
  public boolean tryRunHere(RunControl control) {
    return queue.tryRunHere(this, control);
  }

  /// Lets it run on a thread of the queue's, now or when its turn comes, however long that takes.
  public void submit() {
    submit("", Long.MAX_VALUE);
  }

  /// Lets it run on a thread of the queue's, now or when its turn comes, or refuses it: at once or later, when it cannot
  /// be answered in time.
  ///
  /// @param tenant who shares the version with others, empty for nobody in particular; told by its first 128 characters
  /// @param leftNanos the time until its answer is of no use any more; [Long#MAX_VALUE]: it always is
  public void submit(String tenant, long leftNanos) {
    queue.submit(this, tenant, leftNanos);
  }

  /// The caller has gone: the request leaves the queue at once; a run that nobody else waits for is stopped. Does
  /// nothing when it has ended.
  public void cancel() {
    queue.cancel(this);
  }

  List<Tensor> inputs() {
    return inputs;
  }

  List<String> outputs() {
    return outputs;
  }

  // --- as the policy sees it ------------------------------------------------------------------------------------------

  @Override
  public long rows() {
    return rows;
  }

  @Override
  public long bytes() {
    return bytes;
  }

  @Override
  public int rank() {
    return delayed ? Integer.MAX_VALUE : level;
  }

  @Override
  public long waitingSinceNanos() {
    return queuedNanos;
  }

  @Override
  public boolean canShare() {
    return canShare;
  }

  @Override
  public boolean canShareWith(BatchPolicy.Waiting other) {
    QueuedRequest that = (QueuedRequest) other;
    if (!canShare || !that.canShare || inputs.size() != that.inputs.size() || !outputs.equals(that.outputs)) {
      return false;
    }
    for (int i = 0; i < inputs.size(); i++) {
      Tensor mine = inputs.get(i);
      Tensor others = that.inputs.get(i);
      if (mine.datatype() != others.datatype()
          || !mine.name().equals(others.name())
          || !sameBeyondTheBatch(mine.shape(), others.shape())) {
        return false;
      }
    }
    return true;
  }

  private static boolean sameBeyondTheBatch(Shape mine, Shape others) {
    if (mine.rank() != others.rank()) {
      return false;
    }
    for (int i = 1; i < mine.rank(); i++) {
      if (mine.dim(i) != others.dim(i)) {
        return false;
      }
    }
    return true;
  }
}
