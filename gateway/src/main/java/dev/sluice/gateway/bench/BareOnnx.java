package dev.sluice.gateway.bench;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicReference;
import org.HdrHistogram.Histogram;
import org.jspecify.annotations.Nullable;

/// ONNX Runtime by its own Java binding, in the fastest way that it offers: input and output are tensors over direct
/// buffers, made once for each thread and used again; one session, no threads of its own, no spinning.
final class BareOnnx implements AutoCloseable {
  /// Every so many runs one is timed: a clock read and a histogram for each would cost a hundredth of the smallest model.
  private static final int TIMED_EVERY = 8;

  private final OrtEnvironment environment =
      OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, "bench");
  private final Map<String, OrtSession> sessions = new HashMap<>();

  /// Words: `run FILE INPUT-COLUMNS OUTPUT-COLUMNS ROWS THREADS MILLIS`.
  ///
  /// @return a round whose requests are rows
  Round run(String[] words) throws OrtException, InterruptedException {
    OrtSession session = session(words[1]);
    int rows = Integer.parseInt(words[4]);
    var workers = new ArrayList<Worker>();
    for (int i = 0; i < Integer.parseInt(words[5]); i++) {
      workers.add(new Worker(session, Integer.parseInt(words[2]), Integer.parseInt(words[3]), rows));
    }
    try {
      long machineBefore = ProcessUsage.machineNanos();
      Usage before = ProcessUsage.own();
      long start = System.nanoTime();
      long end = start + Long.parseLong(words[6]) * 1_000_000;
      List<Thread> threads = new ArrayList<>();
      for (Worker worker : workers) {
        threads.add(Thread.ofPlatform().start(() -> worker.runUntil(end)));
      }
      for (Thread thread : threads) {
        thread.join();
      }
      long wallNanos = System.nanoTime() - start;
      Usage after = ProcessUsage.own();
      long cpuNanos = after.cpuNanos() - before.cpuNanos();
      double others = ProcessUsage.othersShare(machineBefore, ProcessUsage.machineNanos(), cpuNanos, wallNanos / 1e9);
      long runs = 0;
      Histogram times = Round.histogram();
      for (Worker worker : workers) {
        runs += worker.runs();
        times.add(worker.times);
      }
      return new Round(
          runs * rows, 0, wallNanos / 1e9, cpuNanos, after.allocatedBytes() - before.allocatedBytes(), 0, others, times);
    } finally {
      workers.forEach(Worker::close);
    }
  }

  private OrtSession session(String file) throws OrtException {
    OrtSession session = sessions.get(file);
    if (session == null) {
      try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
        options.setIntraOpNumThreads(1);
        options.setInterOpNumThreads(1);
        options.addConfigEntry("session.intra_op.allow_spinning", "0");
        session = environment.createSession(file, options);
      }
      sessions.put(file, session);
    }
    return session;
  }

  @Override
  public void close() throws OrtException {
    for (OrtSession session : sessions.values()) {
      session.close();
    }
  }

  private final class Worker implements AutoCloseable {
    private final OrtSession session;
    private final OnnxTensor input;
    private final OnnxTensor output;
    private final Histogram times = Round.histogram();
    private final AtomicReference<@Nullable OrtException> failure = new AtomicReference<>();
    private volatile long runs;

    Worker(OrtSession session, int inputColumns, int outputColumns, int rows) throws OrtException {
      this.session = session;
      this.input = tensor(rows, inputColumns);
      this.output = tensor(rows, outputColumns);
    }

    void runUntil(long end) {
      Map<String, OnnxTensor> inputs = Map.of(BenchModel.INPUT, input);
      Map<String, OnnxTensor> outputs = Map.of(BenchModel.OUTPUT, output);
      long done = 0;
      try {
        for (long now = System.nanoTime(); now - end < 0; done += TIMED_EVERY) {
          for (int i = 1; i < TIMED_EVERY; i++) {
            session.run(inputs, outputs).close();
          }
          long from = System.nanoTime();
          session.run(inputs, outputs).close();
          now = System.nanoTime();
          times.recordValue(Math.clamp(now - from, 0, Round.NANOS_MAX));
        }
      } catch (OrtException e) {
        failure.set(e);
      }
      runs = done;
    }

    long runs() throws OrtException {
      OrtException failed = failure.get();
      if (failed != null) {
        throw failed;
      }
      return runs;
    }

    private OnnxTensor tensor(int rows, int columns) throws OrtException {
      FloatBuffer numbers =
          ByteBuffer.allocateDirect(rows * columns * Float.BYTES).order(ByteOrder.nativeOrder()).asFloatBuffer();
      var random = new SplittableRandom(1);
      for (int i = 0; i < rows * columns; i++) {
        numbers.put(i, random.nextFloat());
      }
      return OnnxTensor.createTensor(environment, numbers, new long[] {rows, columns});
    }

    @Override
    public void close() {
      input.close();
      output.close();
    }
  }
}
