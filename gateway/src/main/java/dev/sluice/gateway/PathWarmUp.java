package dev.sluice.gateway;

import com.google.protobuf.ByteString;
import dev.sluice.gateway.config.UnixListener;
import dev.sluice.gateway.inference.Inference;
import dev.sluice.gateway.inference.InferenceService;
import dev.sluice.gateway.inference.ModelQueries;
import dev.sluice.gateway.inference.OpenStreams;
import dev.sluice.gateway.inference.RepositoryRequests;
import dev.sluice.gateway.inference.ServerSettings;
import dev.sluice.gateway.inference.ServerState;
import dev.sluice.gateway.metrics.GatewayMetrics;
import dev.sluice.gateway.routing.InferenceRouter;
import dev.sluice.gateway.routing.Lanes;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.loadtest.LoadTest;
import dev.sluice.loadtest.LoadTestPlan;
import dev.sluice.loadtest.LoadTestPlan.Load;
import dev.sluice.loadtest.report.LoadReport;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.repository.ModelRepository;
import io.grpc.Server;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.function.BiFunction;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Sends requests along the way that callers' requests will take, before the gateway says that it is ready: the first
/// callers of a cold JVM wait four times as long as later ones, and would pay for every method that is compiled.
///
/// The way is real (a client, a socket, the gateway's own event loops, codec, router, ONNX Runtime), but everything that
/// counts or remembers is private: a repository of one built-in model (an identity of 16 floats), with metrics, routes and a
/// socket in a folder that only this process's user can enter. Nothing of it is seen afterwards; that it fails is no fault
/// of the gateway's.
final class PathWarmUp implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(PathWarmUp.class);

  private static final String MODEL = "sluice-warm-up";
  private static final int COLUMNS = 16;

  /// Several connections, so that each loop has some.
  private static final int CONNECTIONS = 2;

  private static final int IN_FLIGHT = 8;

  private final Thread thread;
  private final CountDownLatch mayLoad;

  private PathWarmUp(Thread thread, CountDownLatch mayLoad) {
    this.thread = thread;
    this.mayLoad = mayLoad;
  }

  /// On a thread of its own. The requests begin with [#load]: until then everything is made ready for them.
  ///
  /// @param time how long; not positive: not at all
  /// @param server of the gateway's own kind, not started yet
  static PathWarmUp begin(
      ModelRuntime runtime, Executor slow, Duration time, BiFunction<UnixListener, InferenceService, Server> server) {
    CountDownLatch mayLoad = new CountDownLatch(1);
    Thread thread =
        Thread.ofPlatform()
            .daemon()
            .name("sluice-warm-up")
            .start(
                () -> {
                  if (time.isPositive()) {
                    var _ = run(runtime, slow, time, mayLoad, server);
                  }
                });
    return new PathWarmUp(thread, mayLoad);
  }

  /// Not while models are loaded: how long they take is measured then.
  void load() {
    mayLoad.countDown();
  }

  /// Until its time is up, or this thread is interrupted and the warm-up has ended for that.
  void await() {
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
        thread.interrupt();
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /// Before what it uses is closed.
  @Override
  public void close() {
    thread.interrupt();
    await();
  }

  /// Returns when the time is up.
  ///
  /// @param mayLoad counted down when the requests may begin
  /// @param server of the gateway's own kind, not started yet
  /// @return how many requests were answered
  static long run(
      ModelRuntime runtime,
      Executor slow,
      Duration time,
      CountDownLatch mayLoad,
      BiFunction<UnixListener, InferenceService, Server> server) {
    try {
      Path folder = Files.createTempDirectory("sluice-warm-up-");
      try {
        return run(folder, runtime, slow, time, mayLoad, server);
      } finally {
        delete(folder);
      }
    } catch (IOException | RuntimeException e) {
      log.info("the first requests will be slow, as none could be tried before: {}", e.getMessage());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return 0;
  }

  private static long run(
      Path folder,
      ModelRuntime runtime,
      Executor slow,
      Duration time,
      CountDownLatch mayLoad,
      BiFunction<UnixListener, InferenceService, Server> listening)
      throws IOException, InterruptedException {
    UnixListener listener = new UnixListener(folder.resolve("s"), UnixListener.MODE);
    writeModel(folder.resolve("models"));
    try (GatewayMetrics metrics = new GatewayMetrics();
        ModelRepository repository = ModelRepository.open(folder.resolve("models"), runtime);
        Lanes lanes = new Lanes()) {
      Routes routes = new Routes(repository, metrics);
      repository.loadAll();
      Inference inference =
          new Inference(
              routes, new InferenceRouter(routes, lanes, null), metrics, () -> ServerState.READY, false);
      InferenceService service =
          new InferenceService(
              inference,
              new ModelQueries(routes, repository, MODEL, "", () -> ServerState.READY, () -> true),
              new RepositoryRequests(repository, () -> ServerState.READY),
              new ServerSettings(routes),
              new OpenStreams(),
              slow);
      Server server = listening.apply(listener, service).start();
      try {
        mayLoad.await();
        return load(listener.path(), time);
      } finally {
        server.shutdownNow().awaitTermination();
      }
    }
  }

  private static long load(Path socket, Duration time) throws InterruptedException {
    byte[] request =
        ModelInferRequest.newBuilder()
            .setModelName(MODEL)
            .setId("warm-up")
            .addInputs(InferInputTensor.newBuilder().setName("x").setDatatype("FP32").addShape(1).addShape(COLUMNS))
            .addRawInputContents(ByteString.copyFrom(new byte[COLUMNS * Float.BYTES]))
            .build()
            .toByteArray();
    LoadTestPlan plan =
        LoadTestPlan.of("unix:" + socket, MODEL, new Load.ClosedLoop(IN_FLIGHT), n -> request)
            .withConnections(CONNECTIONS)
            .withWarmUp(Duration.ZERO)
            .withDuration(time)
            .withDeadline(Duration.ofSeconds(5));
    LoadReport report = LoadTest.run(plan, progress -> {});
    if (report.answered() == 0) {
      log.info("the first requests will be slow, as none that was tried was answered: {}", report.errors());
    }
    return report.answered();
  }

  private static void writeModel(Path models) throws IOException {
    Path version = Files.createDirectories(models.resolve(MODEL).resolve("1"));
    try (InputStream model = PathWarmUp.class.getResourceAsStream("warm-up.onnx")) {
      if (model == null) {
        throw new IOException("warm-up.onnx is missing from the class path");
      }
      Files.copy(model, version.resolve("model.onnx"));
    }
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
