package dev.sluice.gateway.bench;

import com.sun.management.OperatingSystemMXBean;
import com.sun.management.ThreadMXBean;
import dev.sluice.gateway.metrics.GatewayMetrics;
import dev.sluice.gateway.note.NoteProblemsException;
import dev.sluice.gateway.note.NoteReader;
import dev.sluice.gateway.routing.Answer;
import dev.sluice.gateway.routing.CallLifetime;
import dev.sluice.gateway.routing.CallerAttributes;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.routing.InferenceRequest;
import dev.sluice.gateway.routing.InferenceRouter;
import dev.sluice.gateway.routing.Lanes;
import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.routing.Responder;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.gateway.store.LedgerFiles;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.runtime.model.DeviceUse;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// What a rollout costs a request inside this process: no wire, and a model that answers at once with the same tensor.
///
/// Both sides go the whole way through the router: route, lease, run, answer, meters. With a rollout that is also assignment,
/// segment, admission, observation and stop rules on a ledger in a mapped file, and for the candidate's share its circuit
/// breaker, its budget and the check of its answer. Rounds of the sides take turns; each figure is the median of its rounds.
public final class RoutingProbe {

  /// The rules that nearly all notes have, and those beside them that hear of bad news only: a good answer moves counters.
  public static final String RULES_OF_BAD_NEWS =
      """
        - error-rate: { limit: 1% }
        - fallback-rate: { limit: 1% }
        - latency: { over: 1s, limit: 1% }
        - disagreement-rate: { limit: 1% }
        - error-ratio: { margin: 1.5 }
        - paired-errors: {}
      """;

  /// Six rules of which two hear of every answer and every assignment: each of those is a line of evidence.
  public static final String RULES_OF_ALL_NEWS =
      """
        - error-rate: { limit: 1% }
        - fallback-rate: { limit: 1% }
        - latency: { over: 1s, limit: 1% }
        - error-ratio: { margin: 1.5 }
        - mean-cost: { limit: 1s, cap: 2s }
        - sample-ratio: {}
      """;

  private static final int SEGMENTS = 10;
  private static final int WEIGHT_BASIS_POINTS = 1_000;
  private static final int SHADOW_BASIS_POINTS = 100;

  /// Callers: few enough to stay in the processor's cache, as a caller's own data does on its way.
  private static final int REQUESTS = 1_024;

  private static final int IN_FLIGHT_MAX = 64;
  private static final long WAIT_NANOS = 20_000;

  /// What one request costs.
  ///
  /// @param nanos processor time of the thread that brings the request
  /// @param processNanos processor time of the whole process: candidates in a queue, shadows, collector and compiler included
  /// @param bytes allocated by the thread that brings it
  public record Cost(double nanos, double processNanos, double bytes) {}

  /// @param without a model without a rollout
  /// @param with the same with a canary of 10 %, a shadow of 1 %, ten segments and the rules asked for
  public record OneRollout(Cost without, Cost with) {

    /// What the rollout adds to the thread that brings the request, in nanoseconds.
    public double addedNanos() {
      return with.nanos() - without.nanos();
    }
  }

  /// @param one a request through the only rollout of a house with one model
  /// @param same a request through one of many rollouts, always the same one
  /// @param spread requests to all rollouts in turn, which finds the processor's caches cold
  /// @param spreadWithout the same to as many models without a rollout
  /// @param heapBytes that the rollouts added once each of their segments has had requests
  /// @param mappedBytes of their ledgers
  /// @param residentBytes of the mapped ones, those that were touched and so take memory; 0 where the system does not say
  public record ManyRollouts(
      Cost one, Cost same, Cost spread, Cost spreadWithout, long heapBytes, long mappedBytes, long residentBytes) {}

  private final Path scratch;
  private final String rules;
  private final int requestsPerRound;
  private final int rounds;

  /// @param scratch an empty folder for models and ledgers; stays the caller's
  /// @param rules the lines below `stopRules:` of each rollout's note
  public RoutingProbe(Path scratch, String rules, int requestsPerRound, int rounds) {
    this.scratch = scratch;
    this.rules = rules;
    this.requestsPerRound = requestsPerRound;
    this.rounds = rounds;
  }

  public OneRollout oneRollout() throws IOException, ModelLoadException {
    try (House house = new House(scratch.resolve("pair"), 2, rules)) {
      house.begin(1, 2);
      List<List<Cost>> costs = interleaved(List.of(() -> cost(house, 0, 1), () -> cost(house, 1, 2)));
      return new OneRollout(median(costs.get(0)), median(costs.get(1)));
    }
  }

  /// @param models with two versions each, and the first `rollouts` of them, at most half, in a rollout
  public ManyRollouts manyRollouts(int models, int rollouts) throws IOException, ModelLoadException {
    if (rollouts < 1 || rollouts > models / 2) {
      throw new IllegalArgumentException(
          "%d rollouts among %d models: expected 1 to %d".formatted(rollouts, models, models / 2));
    }
    try (House small = new House(scratch.resolve("small"), 1, rules);
        House large = new House(scratch.resolve("large"), models, rules)) {
      small.begin(0, 1);
      long before = heapBytes();
      long residentBefore = residentFileBytes();
      large.begin(0, rollouts);
      List<List<Cost>> costs =
          interleaved(
              List.of(
                  () -> cost(small, 0, 1),
                  () -> cost(large, 0, 1),
                  () -> cost(large, 0, rollouts),
                  () -> cost(large, rollouts, 2 * rollouts)));
      // Whatever the number of rounds: every segment of every rollout has met both variants.
      large.visitEverySegment(rollouts);
      return new ManyRollouts(
          median(costs.get(0)), median(costs.get(1)), median(costs.get(2)), median(costs.get(3)),
          heapBytes() - before, large.mappedBytes, residentFileBytes() - residentBefore);
    }
  }

  // --- rounds ---------------------------------------------------------------------------------------------------------

  private interface Side {
    Cost round();
  }

  /// A B C, C B A, A B C ...: what else the machine does meets all alike. The first third of the rounds warms up.
  private List<List<Cost>> interleaved(List<Side> sides) {
    List<List<Cost>> costs = new ArrayList<>();
    sides.forEach(_ -> costs.add(new ArrayList<>()));
    int warmUp = Math.max(1, rounds / 2);
    for (int round = 0; round < warmUp + rounds; round++) {
      for (int i = 0; i < sides.size(); i++) {
        int side = round % 2 == 0 ? i : sides.size() - 1 - i;
        Cost cost = sides.get(side).round();
        if (round >= warmUp) {
          costs.get(side).add(cost);
        }
      }
    }
    return costs;
  }

  /// One round: requests to models `from` (inclusive) to `to` (exclusive) in turn.
  private Cost cost(House house, int from, int to) {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    OperatingSystemMXBean system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long bytes = threads.getCurrentThreadAllocatedBytes();
    long process = system.getProcessCpuTime();
    long nanos = threads.getCurrentThreadCpuTime();
    house.ask(from, to, requestsPerRound);
    nanos = threads.getCurrentThreadCpuTime() - nanos;
    house.awaitAll();
    process = system.getProcessCpuTime() - process;
    bytes = threads.getCurrentThreadAllocatedBytes() - bytes;
    double n = requestsPerRound;
    return new Cost(nanos / n, process / n, bytes / n);
  }

  private static Cost median(List<Cost> costs) {
    return new Cost(
        median(costs.stream().mapToDouble(Cost::nanos).toArray()),
        median(costs.stream().mapToDouble(Cost::processNanos).toArray()),
        median(costs.stream().mapToDouble(Cost::bytes).toArray()));
  }

  private static double median(double[] values) {
    Arrays.sort(values);
    return values[values.length / 2];
  }

  private static long heapBytes() {
    long least = Long.MAX_VALUE;
    for (int i = 0; i < 3; i++) {
      System.gc();
      least = Math.min(least, ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed());
    }
    return least;
  }

  /// Of files that are mapped, what is in memory for this process; 0 where the system does not say.
  private static long residentFileBytes() throws IOException {
    Path status = Path.of("/proc/self/status");
    if (!Files.exists(status)) {
      return 0;
    }
    for (String line : Files.readAllLines(status)) {
      if (line.startsWith("RssFile:")) {
        return Long.parseLong(line.replaceAll("\\D", "")) << 10;
      }
    }
    return 0;
  }

  // --- a gateway's inside ---------------------------------------------------------------------------------------------

  /// A repository of models of two versions, the router before it, and rollouts with ledgers in mapped files.
  private static final class House implements AutoCloseable {
    private final String rules;
    private final ModelRepository repository;
    private final GatewayMetrics metrics = new GatewayMetrics();
    private final Lanes lanes = new Lanes();
    private final Routes routes;
    private final InferenceRouter router;
    private final LedgerFiles ledgers;
    private final String[] names;
    private final List<LiveRollout> live = new ArrayList<>();
    private final InferenceRequest[] requests = new InferenceRequest[REQUESTS];
    private final Counting counting = new Counting();
    private long asked;
    private long mappedBytes;

    House(Path folder, int models, String rules) throws IOException, ModelLoadException {
      this.rules = rules;
      Path repositoryFolder = Files.createDirectories(folder.resolve("models"));
      this.names = new String[models];
      for (int m = 0; m < models; m++) {
        names[m] = "m" + m;
        for (String version : List.of("1", "2")) {
          Files.createFile(Files.createDirectories(repositoryFolder.resolve(names[m]).resolve(version)).resolve("model.onnx"));
        }
      }
      this.repository = ModelRepository.open(repositoryFolder, (_, _) -> new Instant());
      for (String name : names) {
        repository.load(name, 1);
        repository.load(name, 2);
      }
      this.routes = new Routes(repository, metrics);
      this.router = new InferenceRouter(routes, lanes, null);
      this.ledgers = new LedgerFiles(folder.resolve("ledgers"));
      routesAreThere();
      for (int r = 0; r < REQUESTS; r++) {
        // One segment more than declared: the last is `other`.
        Caller caller = new Caller("user-" + r, "c" + r % (SEGMENTS + 1));
        requests[r] =
            new InferenceRequest("", List.of(Instant.input()), List.of("y"), 0, 0, caller, new Unhurried(), System.nanoTime());
      }
    }

    /// Routes are built when the repository changes.
    private void routesAreThere() {
      for (String name : names) {
        routes.serve(name, 1);
      }
    }

    void begin(int from, int to) {
      for (int m = from; m < to; m++) {
        RolloutNote note = read(note(names[m]));
        EvidenceLedger.Plan plan = note.plan(1);
        EvidenceLedger ledger = new EvidenceLedger(plan, ledgers.create(note.name(), plan.wordsNeeded()));
        mappedBytes += (long) plan.wordsNeeded() * Long.BYTES;
        ledger.initialize(1, Exposure.of(1, WEIGHT_BASIS_POINTS, SHADOW_BASIS_POINTS));
        LiveRollout rollout =
            new LiveRollout(note, m, ledger, routes, lanes, metrics.rollout(note, ledger::segmentName), (_, _) -> {});
        live.add(rollout);
        routes.begin(rollout);
      }
    }

    private static RolloutNote read(String note) {
      try {
        return NoteReader.read(note);
      } catch (NoteProblemsException e) {
        throw new IllegalArgumentException("rules that no note can have: " + e.getMessage(), e);
      }
    }

    private String note(String model) {
      String segments = IntStream.range(0, SEGMENTS).mapToObj(s -> "country=c" + s).collect(Collectors.joining(", "));
      return """
          rollout: r-%s
          model: %s
          owner: bench@example.com
          baseline: 1
          candidate: 2
          segments: [%s]
          compare: { y: { absolute: 0.001 } }
          steps:
            - canary: 10%%
              shadow: 1%%
              until: { observations: 1000000 }
          stopRules:
          %s
          """
          .formatted(model, model, segments, rules);
    }

    void ask(int from, int to, int count) {
      int model = from;
      for (int i = 0; i < count; i++) {
        ask(model, requests[i & (REQUESTS - 1)]);
        model = model + 1 == to ? from : model + 1;
      }
    }

    private void ask(int model, InferenceRequest request) {
      try {
        asked++;
        router.infer(routes.find(names[model], ""), request, counting);
      } catch (InferenceFailure e) {
        throw new IllegalStateException("the probe's own model is not there", e);
      }
      if ((asked & 63) == 0) {
        awaitRoom();
      }
    }

    private void awaitRoom() {
      while (asked - counting.ended.sum() > IN_FLIGHT_MAX) {
        LockSupport.parkNanos(WAIT_NANOS);
      }
    }

    void awaitAll() {
      while (asked != counting.ended.sum()) {
        LockSupport.parkNanos(WAIT_NANOS);
      }
      if (counting.failed != null) {
        throw new IllegalStateException("a request of the probe failed", counting.failed);
      }
    }

    void visitEverySegment(int rollouts) {
      for (int model = 0; model < rollouts; model++) {
        for (InferenceRequest request : requests) {
          ask(model, request);
        }
      }
      awaitAll();
    }

    @Override
    public void close() {
      live.forEach(routes::end);
      live.forEach(LiveRollout::close);
      lanes.close();
      repository.close();
      metrics.close();
      ledgers.close();
    }
  }

  /// A model of no work: the same answer, at once.
  private static final class Instant implements Session {
    private static final Signature SIGNATURE =
        new Signature(
            List.of(new TensorSpec("x", Datatype.FP32, Shape.of(1, 1))),
            List.of(new TensorSpec("y", Datatype.FP32, Shape.of(1, 1))),
            List.of(),
            0);
    private static final List<Tensor> ANSWER = List.of(tensor("y"));

    static Tensor input() {
      return tensor("x");
    }

    private static Tensor tensor(String name) {
      return new Tensor(
          name, Datatype.FP32, Shape.of(1, 1), ByteBuffer.allocateDirect(Float.BYTES).order(ByteOrder.LITTLE_ENDIAN));
    }

    @Override
    public Signature signature() {
      return SIGNATURE;
    }

    @Override
    public List<Tensor> run(List<Tensor> inputs, List<String> outputs, RunControl control) {
      return ANSWER;
    }

    @Override
    public DeviceUse devices() {
      return DeviceUse.cpu();
    }

    @Override
    public void close() {}
  }

  private record Caller(String key, String country) implements CallerAttributes {
    @Override
    public @Nullable String value(String name) {
      return switch (name) {
        case CallerAttributes.KEY -> key;
        case CallerAttributes.SEGMENT_PREFIX + "country" -> country;
        default -> null;
      };
    }
  }

  /// A caller with all the time in the world.
  private record Unhurried() implements CallLifetime {
    private static final Registration NONE = () -> {};

    @Override
    public long remainingNanos() {
      return Long.MAX_VALUE;
    }

    @Override
    public boolean isOver() {
      return false;
    }

    @Override
    public Registration onOver(Runnable action) {
      return NONE;
    }
  }

  private static final class Counting implements Responder {
    private final LongAdder ended = new LongAdder();
    private volatile @Nullable InferenceFailure failed;

    @Override
    public void answer(Answer answer) {
      ended.increment();
    }

    @Override
    public void fail(InferenceFailure failure) {
      failed = failure;
      ended.increment();
    }
  }
}
