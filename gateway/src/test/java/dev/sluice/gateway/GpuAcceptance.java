package dev.sluice.gateway;

import static dev.sluice.gateway.testing.InferMessages.raw;
import static dev.sluice.runtime.testing.OnnxGraph.number;
import static dev.sluice.runtime.testing.OnnxGraph.numbers;
import static dev.sluice.runtime.testing.Tensors.longs;

import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.testing.InferMessages;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.runtime.gpu.GpuMonitor;
import dev.sluice.runtime.model.ExecutionSettings;
import dev.sluice.runtime.model.ExecutionSettings.Device;
import dev.sluice.runtime.model.ExecutionSettings.Placement;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// The gateway on a real GPU: `GpuAcceptance [SECONDS] [required|rehearsal]`, to be run by hand; docs/gpu.md says how.
///
/// Three models are served with every node on CUDA or not at all, their answers are held against the CPU's, memory is run
/// out of and given back, and one table says how fast all that was. Without a usable GPU it prints SKIPPED and the cause, and
/// ends with 0, or with 1 when told that a GPU is required. A rehearsal runs all of it on the CPU: it shows that the program is
/// in order, and nothing else.
public final class GpuAcceptance {
  private static final long SEED = 20261121;
  private static final int ROWS = 8;
  private static final int LOADS = 20;
  private static final double ERROR_MAX = 1e-4; // 32-bit floats all the way, without TF32
  private static final double MEMORY_GROWTH_BYTES_MAX = 64 << 20;
  private static final List<String> Y = List.of("y");

  private final double seconds;
  private final boolean rehearsal;
  private final Path folder;
  private final Random random = new Random(SEED);
  private final OnnxRuntime runtime = new OnnxRuntime();
  private final List<String> table = new ArrayList<>();
  private int checks;

  /// A model and rows that suit it.
  private record Subject(String name, OnnxGraph graph, Shape row) {
    Tensor rows(int rows, Random random) {
      long[] dims = new long[row.rank() + 1];
      dims[0] = rows;
      System.arraycopy(row.toArray(), 0, dims, 1, row.rank());
      Shape shape = Shape.of(dims);
      float[] values = new float[(int) shape.elements()];
      for (int i = 0; i < values.length; i++) {
        values[i] = random.nextFloat() - 0.5f;
      }
      return Tensors.floats("x", shape, values);
    }
  }

  private GpuAcceptance(double seconds, boolean rehearsal, Path folder) {
    this.seconds = seconds;
    this.rehearsal = rehearsal;
    this.folder = folder;
  }

  public static void main(String[] args) throws Exception {
    List<String> words = List.of(args);
    boolean rehearsal = words.contains("rehearsal");
    double seconds =
        words.stream().filter(word -> word.matches("[0-9.]+")).mapToDouble(Double::parseDouble).findFirst().orElse(5);
    System.out.println("seed " + SEED);
    GpuAcceptance acceptance = new GpuAcceptance(seconds, rehearsal, Files.createTempDirectory("gpu-acceptance"));
    String whyNot = acceptance.whyThereIsNoGpu();
    if (whyNot != null && !rehearsal) {
      System.out.println("SKIPPED: " + whyNot);
      System.exit(words.contains("required") ? 1 : 0);
    }
    acceptance.run();
    acceptance.table.forEach(System.out::println);
    System.out.println(
        rehearsal
            ? "REHEARSED ON THE CPU: of a GPU nothing was checked"
            : "GPU ACCEPTANCE PASSED: %d checks".formatted(acceptance.checks));
    System.exit(0);
  }

  private @Nullable String whyThereIsNoGpu() throws Exception {
    Path probe = OnnxModels.linear(2, 1, 1).writeTo(folder.resolve("probe"), "probe", 1);
    try (Session session = runtime.load(probe, settings(Device.GPU, Map.of()))) {
      float y = Tensors.floats(run(session, Tensors.floats("x", Shape.of(1, 1), 3)))[0];
      check("a GPU computes 2 * 3 + 1", y == 7, y);
      return null;
    } catch (ModelLoadException e) {
      return e.getMessage();
    }
  }

  private void run() throws Exception {
    List<Subject> subjects =
        List.of(
            new Subject("convolutions", convolutions(), Shape.of(3, 112, 112)),
            new Subject("transformer", transformer(), Shape.of(64, 256)),
            new Subject("free-shapes", freeShapes(), Shape.of(40, 128)));
    table.add("%-14s %-34s %12s".formatted("model", "what", "rows/s"));
    for (Subject subject : subjects) {
      compareAndMeasure(subject);
    }
    runOutOfMemory();
    loadAndUnload(subjects.getFirst());
    serve(subjects);
  }

  // --- the runtime alone ---------------------------------------------------------------------------------------------

  private void compareAndMeasure(Subject subject) throws Exception {
    Path version = subject.graph().writeTo(folder.resolve("direct"), subject.name(), 1);
    Tensor x = subject.rows(ROWS, random);
    try (Session gpu = runtime.load(version, onGpu(Map.of("use_tf32", "0")));
        Session cpu = runtime.load(version, settings(Device.CPU, Map.of()))) {
      checkOfGpu(subject.name() + " runs on gpu:0", gpu.devices().devices().equals(List.of("gpu:0")), gpu.devices());
      double error = error(run(gpu, x), run(cpu, x));
      check(subject.name() + ": relative error against the CPU below " + ERROR_MAX, error < ERROR_MAX, error);
      measure(subject.name(), "CPU session, 1 run in flight", ROWS, 1, thread -> () -> run(cpu, x));
      measure(subject.name(), "GPU session, 1 run in flight", ROWS, 1, thread -> () -> run(gpu, x));
      measure(subject.name(), "GPU session, 2 runs in flight", ROWS, 2, thread -> () -> run(gpu, x));
    }
  }

  private void runOutOfMemory() throws Exception {
    OnnxGraph expand =
        new OnnxGraph()
            .constant(Tensors.floats("one", Shape.of(1), 1))
            .input("n", Datatype.INT64, 1)
            .node("Expand", List.of("one", "n"), Y)
            .output("y", Datatype.FP32, -1);
    Path version = expand.writeTo(folder.resolve("memory"), "expand", 1);
    try (Session session =
        runtime.load(version, onGpu(Map.of("gpu_mem_limit", Integer.toString(64 << 20))))) {
      String kind = "none";
      try {
        session.run(List.of(longs("n", Shape.of(1), 64 << 20)), Y, RunControl.none());
      } catch (ModelExecutionException e) {
        kind = e.kind() + ": " + e.getMessage();
      }
      checkOfGpu("256 MiB do not fit into gpu_mem_limit", kind.startsWith("OUT_OF_MEMORY"), kind);
      int elements =
          Tensors.floats(session.run(List.of(longs("n", Shape.of(1), 1000)), Y, RunControl.none()).getFirst()).length;
      check("a small run after it is answered", elements == 1000, elements);
    }
  }

  private void loadAndUnload(Subject subject) throws Exception {
    try (GpuMonitor monitor = GpuMonitor.start()) {
      if (monitor == null) {
        System.out.println("not checked: memory after unloading, because there is no libnvidia-ml.so.1");
        return;
      }
      Path version = folder.resolve("direct").resolve(subject.name()).resolve("1");
      Tensor x = subject.rows(ROWS, random);
      double before = 0;
      for (int i = 0; i <= LOADS; i++) {
        try (Session session = runtime.load(version, onGpu(Map.of()))) {
          var _ = run(session, x);
        }
        if (i == 0) {
          before = settledMemory(monitor); // the context and the libraries stay for good
        }
      }
      double growth = settledMemory(monitor) - before;
      check("%d loads leave no memory behind".formatted(LOADS), growth < MEMORY_GROWTH_BYTES_MAX, growth);
    }
  }

  private static double settledMemory(GpuMonitor monitor) throws InterruptedException {
    Thread.sleep(2 * GpuMonitor.INTERVAL.toMillis());
    return monitor.readings().getFirst().memoryUsedBytes();
  }

  // --- the gateway ---------------------------------------------------------------------------------------------------

  private void serve(List<Subject> subjects) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    for (Subject subject : subjects) {
      for (String device : List.of("gpu", "cpu")) {
        String name = subject.name() + "-" + device;
        subject.graph().writeTo(models, name, 1);
        Files.writeString(models.resolve(name).resolve("config.pbtxt"), config(device));
      }
    }
    GatewayConfig config = GatewayConfig.onFreePorts(models, folder.resolve("data"));
    try (RunningGateway gateway = RunningGateway.start(config)) {
      String page = gateway.gateway().metrics().scrape();
      checkOfGpu("GPU metrics are shown", page.contains("nv_gpu_memory_used_bytes{gpu_uuid="), "no such line");
      for (Subject subject : subjects) {
        String onGpu = subject.name() + "-gpu";
        checkOfGpu(
            onGpu + " is served on gpu:0",
            page.contains("sluice_model_device{asked=\"gpu\",device=\"gpu:0\",model=\"" + onGpu + "\",version=\"1\"} 1"),
            page.lines().filter(line -> line.startsWith("sluice_model_device")).toList());
        Tensor x = subject.rows(1, random);
        double error = error(answer(gateway, raw(onGpu, x)), answer(gateway, raw(subject.name() + "-cpu", x)));
        check(onGpu + ": relative error against the CPU below " + ERROR_MAX, error < ERROR_MAX, error);
        for (int clients : new int[] {1, 64}) {
          for (String device : List.of("gpu", "cpu")) {
            ModelInferRequest request = raw(subject.name() + "-" + device, x).build();
            measure(
                subject.name(),
                "gateway, %s, %d clients of 1 row".formatted(device.toUpperCase(Locale.ROOT), clients),
                1,
                clients,
                thread -> () -> gateway.inference().modelInfer(request));
          }
        }
      }
    }
  }

  private String config(String device) {
    String kind = rehearsal ? "CPU" : device.toUpperCase(Locale.ROOT);
    return """
        max_batch_size: 32
        dynamic_batching { }
        instance_group { kind: KIND_%s }
        parameters { key: 'gpu.strict' value { string_value: '1' } }
        parameters { key: 'use_tf32' value { string_value: '0' } }
        """
        .formatted(kind);
  }

  private static Tensor answer(RunningGateway gateway, ModelInferRequest.Builder request) {
    return InferMessages.outputs(gateway.inference().modelInfer(request.build())).getFirst();
  }

  // --- the models ----------------------------------------------------------------------------------------------------

  /// A stem, four residual blocks, a classifier.
  private OnnxGraph convolutions() {
    OnnxGraph graph = new OnnxGraph().input("x", Datatype.FP32, -1, 3, 112, 112);
    weights(graph, "stem", 64, 3, 7, 7);
    graph.node(
        "Conv", List.of("x", "stem"), List.of("s"), numbers("strides", 2, 2), numbers("pads", 3, 3, 3, 3));
    graph.node("Relu", List.of("s"), List.of("block0"));
    for (int block = 0; block < 4; block++) {
      String w = "w" + block;
      weights(graph, w, 64, 64, 3, 3);
      graph
          .node("Conv", List.of("block" + block, w), List.of("c" + block), numbers("pads", 1, 1, 1, 1))
          .node("Add", List.of("c" + block, "block" + block), List.of("a" + block))
          .node("Relu", List.of("a" + block), List.of("block" + (block + 1)));
    }
    weights(graph, "classes", 64, 1000);
    return graph
        .node("GlobalAveragePool", List.of("block4"), List.of("pooled"))
        .node("Flatten", List.of("pooled"), List.of("flat"))
        .node("MatMul", List.of("flat", "classes"), Y)
        .output("y", Datatype.FP32, -1, 1000);
  }

  /// Two layers of attention over 64 places of 256 values, 4 heads.
  private OnnxGraph transformer() {
    OnnxGraph graph = new OnnxGraph().input("x", Datatype.FP32, -1, 64, 256);
    graph
        .constant(longs("heads", Shape.of(4), 0, 64, 4, 64))
        .constant(longs("joined", Shape.of(3), 0, 64, 256))
        .constant(Tensors.floats("scale", Shape.of(), 0.125f));
    String in = "x";
    for (int layer = 0; layer < 2; layer++) {
      String l = "l" + layer;
      for (String part : List.of("q", "k", "v")) {
        weights(graph, l + part + "w", 256, 256);
        graph
            .node("MatMul", List.of(in, l + part + "w"), List.of(l + part + "m"))
            .node("Reshape", List.of(l + part + "m", "heads"), List.of(l + part + "r"))
            .node(
                "Transpose",
                List.of(l + part + "r"),
                List.of(l + part),
                part.equals("k") ? numbers("perm", 0, 2, 3, 1) : numbers("perm", 0, 2, 1, 3));
      }
      weights(graph, l + "up", 256, 1024);
      weights(graph, l + "down", 1024, 256);
      weights(graph, l + "norm", 256);
      graph
          .node("MatMul", List.of(l + "q", l + "k"), List.of(l + "scores"))
          .node("Mul", List.of(l + "scores", "scale"), List.of(l + "scaled"))
          .node("Softmax", List.of(l + "scaled"), List.of(l + "p"), number("axis", -1))
          .node("MatMul", List.of(l + "p", l + "v"), List.of(l + "heads"))
          .node("Transpose", List.of(l + "heads"), List.of(l + "t"), numbers("perm", 0, 2, 1, 3))
          .node("Reshape", List.of(l + "t", "joined"), List.of(l + "attended"))
          .node("Add", List.of(in, l + "attended"), List.of(l + "sum"))
          .node("LayerNormalization", List.of(l + "sum", l + "norm"), List.of(l + "normal"), number("axis", -1))
          .node("MatMul", List.of(l + "normal", l + "up"), List.of(l + "wide"))
          .node("Relu", List.of(l + "wide"), List.of(l + "relu"))
          .node("MatMul", List.of(l + "relu", l + "down"), List.of(l + "narrow"))
          .node("Add", List.of(l + "normal", l + "narrow"), List.of(l + "out"));
      in = l + "out";
    }
    return graph.node("Identity", List.of(in), Y).output("y", Datatype.FP32, -1, 64, 256);
  }

  /// Any number of places in a row.
  private OnnxGraph freeShapes() {
    OnnxGraph graph = new OnnxGraph().input("x", Datatype.FP32, -1, -1, 128);
    weights(graph, "w", 128, 128);
    return graph
        .node("MatMul", List.of("x", "w"), List.of("m"))
        .node("Tanh", List.of("m"), List.of("t"))
        .node("Softmax", List.of("t"), List.of("p"), number("axis", 1))
        .node("Mul", List.of("p", "x"), Y)
        .output("y", Datatype.FP32, -1, -1, 128);
  }

  /// Of a size that keeps what goes through them about as large as it was.
  private void weights(OnnxGraph graph, String name, long... dims) {
    Shape shape = Shape.of(dims);
    float[] values = new float[(int) shape.elements()];
    double inputs = Math.max(1, dims.length == 2 ? dims[0] : (double) shape.elements() / dims[0]);
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (random.nextGaussian() / Math.sqrt(inputs));
    }
    graph.constant(Tensors.floats(name, shape, values));
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private ModelSettings onGpu(Map<String, String> cudaOptions) {
    return settings(rehearsal ? Device.CPU : Device.GPU, cudaOptions);
  }

  private static ModelSettings settings(Device device, Map<String, String> cudaOptions) {
    ExecutionSettings defaults = ExecutionSettings.defaults();
    return ModelSettings.defaults()
        .withExecution(
            new ExecutionSettings(
                defaults.threads(),
                defaults.graphLevel(),
                defaults.memory(),
                new Placement(device, List.of(), device == Device.GPU, cudaOptions),
                Map.of()));
  }

  private static Tensor run(Session session, Tensor x) throws ModelExecutionException {
    return session.run(List.of(x), Y, RunControl.none()).getFirst();
  }

  /// The distance between two answers as a share of the second one's length.
  private static double error(Tensor answer, Tensor expected) {
    float[] a = Tensors.floats(answer);
    float[] b = Tensors.floats(expected);
    double distance = 0;
    double length = 0;
    for (int i = 0; i < b.length; i++) {
      distance += Math.pow(a[i] - b[i], 2);
      length += Math.pow(b[i], 2);
    }
    return a.length == b.length && length > 0 ? Math.sqrt(distance / length) : Double.NaN;
  }

  private interface Call {
    Callable<?> of(int thread);
  }

  private void measure(String model, String what, int rows, int clients, Call call) throws Exception {
    AtomicLong done = new AtomicLong();
    long warm = System.nanoTime() + (long) (Math.min(2, seconds) * 1e9);
    long end = warm + (long) (seconds * 1e9);
    try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<Void>> all =
          IntStream.range(0, clients)
              .mapToObj(
                  thread ->
                      threads.submit(
                          (Callable<Void>)
                              () -> {
                                Callable<?> one = call.of(thread);
                                for (long now = System.nanoTime(); now < end; now = System.nanoTime()) {
                                  one.call();
                                  if (now >= warm) {
                                    done.incrementAndGet();
                                  }
                                }
                                return null;
                              }))
              .toList();
      for (Future<Void> one : all) {
        one.get();
      }
    }
    table.add("%-14s %-34s %12.0f".formatted(model, what, done.get() * rows / seconds));
  }

  private void checkOfGpu(String what, boolean holds, Object seen) {
    if (rehearsal) {
      System.out.println("rehearsed: " + what);
    } else {
      check(what, holds, seen);
    }
  }

  private void check(String what, boolean holds, Object seen) {
    System.out.println((holds ? "ok: " : "FAILED: ") + what + " (" + seen + ")");
    if (!holds) {
      System.out.println("GPU ACCEPTANCE FAILED");
      System.exit(1);
    }
    checks++;
  }
}
