package dev.sluice.runtime.batching;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.runtime.model.Batching;
import dev.sluice.runtime.model.DeviceUse;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelProfile;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.Priorities;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Scheduling;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import dev.sluice.runtime.testing.Tensors;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// A version's queue whose time and threads the test moves: a run begins when it says so.
///
/// The model doubles its input; a test may put something else in its place.
final class QueueRig {

  @FunctionalInterface
  interface Model {
    List<Tensor> run(List<Tensor> inputs, RunControl control) throws ModelExecutionException;
  }

  final VirtualTime time = new VirtualTime();
  final Deque<Runnable> threads = new ArrayDeque<>();
  final List<String> ends = new ArrayList<>();
  final List<List<Tensor>> runs = new ArrayList<>();

  /// Names of those who would rather not be run when their turn comes.
  final Set<String> unwanted = new HashSet<>();

  final ModelVersion version;
  final VersionQueue queue;
  Model model = QueueRig::doubled;

  QueueRig(int instances, @Nullable Batching batching, Priorities priorities) {
    this.version =
        new ModelVersion(
            "m",
            1,
            new Doubling(),
            new ModelProfile(
                ModelConfig.getDefaultInstance(),
                new Scheduling(instances, batching, priorities),
                false,
                Map.of(),
                Map.of()),
            0);
    this.queue = new VersionQueue(version, threads::add, time);
  }

  static QueueRig of(int instances) {
    return new QueueRig(instances, null, Priorities.none());
  }

  static QueueRig batching(int instances, int rowsMax, long delay) {
    return new QueueRig(instances, new Batching(rowsMax, List.of(), delay, false), Priorities.none());
  }

  // --- asking ---------------------------------------------------------------------------------------------------------

  /// A request of one row, named by its value; its end is noted in `ends`.
  QueuedRequest submit(float value) {
    return submit(name(value), 0, 0, Tensors.floats("x", Shape.of(1, 1), value));
  }

  QueuedRequest submit(float value, int priority, long timeoutNanos) {
    return submit(name(value), priority, timeoutNanos, Tensors.floats("x", Shape.of(1, 1), value));
  }

  QueuedRequest submit(String name, int priority, long timeoutNanos, Tensor input) {
    QueuedRequest request = request(name, priority, timeoutNanos, input);
    request.submit();
    return request;
  }

  Tensor row(float value) {
    return Tensors.floats("x", Shape.of(1, 1), value);
  }

  QueuedRequest request(String name, int priority, long timeoutNanos, Tensor input) {
    assertThat(version.tryAcquire()).isTrue();
    return queue.request(
        List.of(input), List.of("y"), priority, timeoutNanos, time.nanos(), new Note(name));
  }

  private final class Note implements QueuedRequest.Completion {
    private final String name;

    private Note(String name) {
      this.name = name;
    }

    @Override
    public boolean isWanted() {
      return !unwanted.contains(name);
    }

    @Override
    public void succeeded(List<Tensor> outputs) {
      StringBuilder values = new StringBuilder();
      for (float value : Tensors.floats(outputs.getFirst())) {
        values.append(' ').append(name(value));
      }
      ends.add(name + " ->" + values);
    }

    @Override
    public void failed(NoAnswer why) {
      String said =
          switch (why) {
            case NoAnswer.QueueFull(int sizeMax, long _) -> "full at " + sizeMax;
            case NoAnswer.QueueBytesFull(long bytesMax, long _) -> "full at " + bytesMax + " bytes";
            case NoAnswer.TooLate(long needed, long left, boolean alone, long _) ->
                "needs %d of %d%s".formatted(needed, left, alone ? " alone" : "");
            case NoAnswer.Shed(int waiting, long _) -> "shed with " + waiting + " left";
            case NoAnswer.TimedOut(long timeout) -> "timed out after " + timeout;
            case NoAnswer.Withdrawn _ -> "withdrawn";
            case NoAnswer.NotComputed(ModelExecutionException cause) -> cause.getMessage();
            case NoAnswer.Broken(Throwable cause) -> cause.toString();
            case NoAnswer.ShutDown _ -> "shut down";
          };
      ends.add(name + ": " + said);
    }
  }

  // --- running --------------------------------------------------------------------------------------------------------

  /// Lets the thread that was asked for first do all it has to do.
  void runThread() {
    threads.removeFirst().run();
  }

  void runAllThreads() {
    while (!threads.isEmpty()) {
      runThread();
    }
  }

  /// The rows of each run so far.
  List<Long> batches() {
    return runs.stream().map(inputs -> inputs.getFirst().shape().dim(0)).toList();
  }

  static List<Tensor> doubled(List<Tensor> inputs, RunControl control) {
    float[] values = Tensors.floats(inputs.getFirst());
    for (int i = 0; i < values.length; i++) {
      values[i] *= 2;
    }
    return List.of(Tensors.floats("y", inputs.getFirst().shape(), values));
  }

  static String name(float value) {
    return value == (int) value ? Integer.toString((int) value) : Float.toString(value);
  }

  private final class Doubling implements Session {
    private static final Signature SIGNATURE =
        new Signature(
            List.of(new TensorSpec("x", Datatype.FP32, Shape.of(-1, -1))),
            List.of(new TensorSpec("y", Datatype.FP32, Shape.of(-1, -1))),
            List.of(),
            1_000);

    @Override
    public Signature signature() {
      return SIGNATURE;
    }

    @Override
    public List<Tensor> run(List<Tensor> inputs, List<String> outputs, RunControl control)
        throws ModelExecutionException {
      runs.add(inputs);
      return model.run(inputs, control);
    }

    @Override
    public DeviceUse devices() {
      return DeviceUse.cpu();
    }

    @Override
    public void close() {}
  }
}
