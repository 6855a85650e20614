package dev.sluice.gateway;

import dev.sluice.gateway.admission.ByteBudget;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.gateway.config.ModelControl;
import dev.sluice.gateway.config.GrpcOptions;
import dev.sluice.gateway.config.UnixListener;
import dev.sluice.gateway.control.Assembly;
import dev.sluice.gateway.control.ControlFailure;
import dev.sluice.gateway.control.Defaults;
import dev.sluice.gateway.control.Journal;
import dev.sluice.gateway.control.ModelService;
import dev.sluice.gateway.control.RolloutController;
import dev.sluice.gateway.control.RolloutService;
import dev.sluice.gateway.http.RestServer;
import dev.sluice.gateway.inference.Inference;
import dev.sluice.gateway.inference.InferenceService;
import dev.sluice.gateway.inference.ModelQueries;
import dev.sluice.gateway.inference.OpenStreams;
import dev.sluice.gateway.inference.RepositoryRequests;
import dev.sluice.gateway.inference.ServerSettings;
import dev.sluice.gateway.inference.ServerState;
import dev.sluice.gateway.metrics.GatewayMetrics;
import dev.sluice.gateway.metrics.GpuMeters;
import dev.sluice.gateway.metrics.MetricsServer;
import dev.sluice.gateway.rpc.Decompression;
import dev.sluice.gateway.rpc.EventLoops;
import dev.sluice.gateway.rpc.MessageBudget;
import dev.sluice.gateway.rpc.ResponseCompression;
import dev.sluice.gateway.rpc.UnixSocketFile;
import dev.sluice.gateway.rpc.UnreadableRequests;
import dev.sluice.gateway.routing.InferenceRouter;
import dev.sluice.gateway.routing.Lanes;
import dev.sluice.gateway.routing.ResponseCache;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.gateway.store.LedgerFiles;
import dev.sluice.gateway.store.ServingMarkers;
import dev.sluice.gateway.store.ServingVersion;
import dev.sluice.gateway.store.ShutdownMarker;
import dev.sluice.gateway.store.SqliteStore;
import dev.sluice.gateway.store.Store;
import dev.sluice.gateway.store.StoreException;
import dev.sluice.gateway.store.StoreLockedException;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.runtime.gpu.GpuMonitor;
import dev.sluice.runtime.model.DeviceUse;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.onnx.OnnxOptions;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.repository.ControlMode;
import dev.sluice.runtime.repository.Model;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.repository.RepositoryOptions;
import dev.sluice.runtime.repository.RepositoryPoll;
import dev.sluice.runtime.repository.VersionStatus;
import dev.sluice.runtime.source.ModelSources;
import io.grpc.Server;
import io.grpc.ServerInterceptors;
import io.grpc.ServerServiceDefinition;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.services.HealthStatusManager;
import io.grpc.protobuf.services.ProtoReflectionServiceV1;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.zip.Deflater;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// One running gateway, and the one place where its parts are put together.
public final class Gateway implements AutoCloseable {

  private static final Logger log = LoggerFactory.getLogger(Gateway.class);

  /// Behind TLS or not, a caller's metadata is small; what is larger is refused before it is read.
  private static final int METADATA_BYTES_MAX = 16 << 10;

  private static final int REPOSITORY_THREADS = 4;
  private static final int REPOSITORY_REQUESTS_MAX = 64;

  /// Of one connection; a client that has more asks for them one after the other.
  private static final int CALLS_PER_CONNECTION_MAX = 1024;

  /// A deadline that passes is a reset, too: with 200 of them in 30 s allowed, a connection of callers in a hurry was closed under
  /// its other calls as soon as a model was slow. So many cost less than a hundredth of a processor.
  private static final int RESETS_MAX = 10_000;

  private static final int RESETS_WINDOW_SECONDS = 30;

  private final GatewayConfig config;
  private final ModelRuntime runtime;
  private final Deque<AutoCloseable> opened = new ArrayDeque<>();
  private final HealthStatusManager health = new HealthStatusManager();
  private final OpenStreams openStreams = new OpenStreams();
  private final ModelRepository repository;
  private final GatewayMetrics metrics;
  private final ByteBudget budget;
  private final Routes routes;
  private final Readiness readiness;
  private final @Nullable RolloutController controller;
  private final Server inferenceServer;
  private final @Nullable Server unixServer;
  private final RestServer restServer;
  private final Server controlServer;
  private final MetricsServer metricsServer;
  private volatile ServerState state = ServerState.STARTING;

  /// Starts a gateway that runs ONNX models.
  public static Gateway start(GatewayConfig config) throws StartFailure {
    return start(config, OnnxOptions.defaults());
  }

  /// As above, with what ONNX Runtime is to be started with.
  public static Gateway start(GatewayConfig config, OnnxOptions options) throws StartFailure {
    return start(config, new OnnxRuntime(options), Clock.systemUTC());
  }

  /// Starts a gateway; when this returns it answers. What was opened before a failure is closed again.
  public static Gateway start(GatewayConfig config, ModelRuntime runtime, Clock clock) throws StartFailure {
    return new Gateway(config, runtime, clock);
  }

  private Gateway(GatewayConfig config, ModelRuntime runtime, Clock clock) throws StartFailure {
    this.config = config;
    this.runtime = runtime;
    this.budget = new ByteBudget(config.listeners().inFlightBytesMax());
    try {
      this.metrics = opened(new GatewayMetrics());
      this.repository = opened(openRepository(config, runtime, opened(ModelSources.of(config.sources()))));
      Lanes lanes = opened(new Lanes());
      this.routes = new Routes(repository, metrics);
      metrics.bind(lanes::waiting, () -> versionsReady(repository));
      repository.onChange(
          metrics.showVersions(() -> repository.models().stream().flatMap(model -> model.versions().stream()).toList()));
      this.readiness = new Readiness(repository, routes, config.modelControl().strictReadiness());
      showDevices();
      ThreadPoolExecutor slow = opened(repositoryThreads());
      EventLoops loops = opened(EventLoops.start());
      PathWarmUp warmUp = opened(warmUp(loops, slow));
      loadAtStart();
      warmUp.load();

      ServingMarkers markers = new ServingMarkers(config.dataDirectory().resolve("serving"));
      String whyNoControl = "";
      RolloutController opening = null;
      try {
        Files.createDirectories(config.dataDirectory());
        SqliteStore store = opened(SqliteStore.open(config.dataDirectory().resolve("sluice.db")));
        ShutdownMarker shutdown = opened(new ShutdownMarker(config.dataDirectory().resolve("clean-shutdown")));
        LedgerFiles ledgers = opened(new LedgerFiles(config.dataDirectory().resolve("ledgers")));
        boolean lastMomentLost = store.machineRestarted() && !shutdown.wasClean();
        opening =
            opened(
                new RolloutController(
                    new Journal(store, markers, clock),
                    new Assembly(ledgers, routes, lanes, metrics),
                    repository,
                    routes,
                    metrics,
                    !shutdown.wasClean(),
                    lastMomentLost));
        opening.start();
        store.servingVersions().forEach((model, version) -> markers.write(new ServingVersion(model, version)));
        store.rememberBoot();
        shutdown.vouch();
        auditInBackground(store);
      } catch (StoreLockedException e) {
        throw e;
      } catch (StoreException | ControlFailure e) {
        // Not an outage: every model is served by the version that its last rollout trusted, and no candidate sees a request.
        opening = null;
        whyNoControl = "control state in %s: %s".formatted(config.dataDirectory(), e.getMessage());
        log.error("serving baselines only, without rollouts: {}", whyNoControl);
        markers.read().forEach((model, version) -> Defaults.restore(model, version, repository, routes));
      }
      this.controller = opening;
      metrics.storeReadable(controller != null);
      requireLoaded();

      Inference inference =
          new Inference(
              routes,
              new InferenceRouter(routes, lanes, responseCache()),
              metrics,
              this::state,
              config.grpc().mirrorsTyped());
      ModelQueries queries =
          new ModelQueries(routes, repository, config.serverName(), version(), this::state, readiness::modelsReady);
      RepositoryRequests requests = new RepositoryRequests(repository, this::state);
      ServerSettings settings = new ServerSettings(routes);
      metrics.bytesInFlight(budget::taken);
      // Once more, to be closed before what calls use: calls are on these threads.
      opened(slow);
      opened(loops);
      opened(warmUp);
      InferenceService service = new InferenceService(inference, queries, requests, settings, openStreams, slow);
      this.inferenceServer = opened(inferenceServer(loops, service));
      this.unixServer = unixServer(loops, service);
      this.restServer = opened(restServer(inference, queries, requests, settings, slow));
      this.controlServer = opened(controlServer(whyNoControl));
      this.metricsServer = opened(metricsServer());
      // The last thing before readiness. The listeners answer by now whoever does not wait for that.
      warmUp.await();
    } catch (StoreException e) {
      closeOpened();
      throw new StartFailure("data-dir: " + e.getMessage());
    } catch (IOException e) {
      closeOpened();
      throw new StartFailure("data-dir: '%s' cannot be used: %s".formatted(config.dataDirectory(), words(e)));
    } catch (StartFailure | RuntimeException e) {
      closeOpened();
      throw e;
    }
    state = ServerState.READY;
    runtime.onFaultChange(this::showHealth);
    repository.onChange(this::showHealth);
    showHealth();
    if (config.modelControl().mode() == ControlMode.POLL) {
      opened(RepositoryPoll.start(repository, config.modelControl().pollInterval()));
    }
  }

  // --- parts ----------------------------------------------------------------------------------------------------------

  private @Nullable ResponseCache responseCache() {
    return config.responseCacheBytes() == 0 ? null : new ResponseCache(config.responseCacheBytes());
  }

  private static ModelRepository openRepository(GatewayConfig config, ModelRuntime runtime, ModelSources sources)
      throws StartFailure {
    Path root = config.modelRepository();
    try {
      ModelControl control = config.modelControl();
      RepositoryOptions options =
          new RepositoryOptions(control.mode(), control.loadThreads(), config.configOptions());
      return ModelRepository.open(root, runtime, options, sources);
    } catch (IOException e) {
      throw new StartFailure("model-repository: '%s' is not a directory that can be read".formatted(root));
    }
  }

  private void loadAtStart() {
    ModelControl control = config.modelControl();
    if (control.mode() != ControlMode.EXPLICIT || control.loadAtStart().contains(ModelControl.ALL)) {
      repository.loadAll();
    } else {
      repository.loadAll(control.loadAtStart());
    }
  }

  private void requireLoaded() throws StartFailure {
    List<String> faults = readiness.faults();
    if (config.modelControl().exitOnError() && !faults.isEmpty()) {
      throw new StartFailure("model-repository: " + String.join("; ", faults));
    }
  }

  /// In time proportional to the trail, so not before the first answer.
  private static void auditInBackground(Store store) {
    Thread.ofVirtual()
        .name("sluice-audit")
        .start(
            () -> {
              try {
                store.verify();
              } catch (StoreException e) {
                log.error("the audit trail is not what was written: {}", e.getMessage());
              }
            });
  }

  private void showDevices() {
    metrics.gpus().bindDevices(() -> deviceRows(repository));
    GpuMonitor monitor = GpuMonitor.start();
    if (monitor != null) {
      metrics.gpus().bindGpus(opened(monitor));
    }
  }

  private static List<GpuMeters.DeviceRow> deviceRows(ModelRepository repository) {
    List<GpuMeters.DeviceRow> rows = new ArrayList<>();
    for (Model model : repository.models()) {
      for (ModelVersion version : model.versions()) {
        DeviceUse use = version.devices();
        List<String> devices = use.devices().isEmpty() ? List.of("none") : use.devices();
        String asked = use.asked().name().toLowerCase(Locale.ROOT);
        devices.forEach(
            device -> rows.add(new GpuMeters.DeviceRow(version.model(), version.version(), asked, device)));
      }
    }
    return rows;
  }

  private static long versionsReady(ModelRepository repository) {
    return repository.statuses().stream().filter(status -> status.state() == VersionStatus.State.READY).count();
  }

  private Server inferenceServer(EventLoops loops, InferenceService service) throws StartFailure {
    String host = config.listeners().host();
    int port = config.listeners().grpcPort();
    return listen("grpc-port", inferenceServer(loops.server(address(host, port)), service), host, port);
  }

  private @Nullable Server unixServer(EventLoops loops, InferenceService service) throws StartFailure {
    UnixListener listener = config.listeners().unix();
    if (listener == null) {
      return null;
    }
    try {
      UnixSocketFile file = opened(UnixSocketFile.free(listener));
      Server server = opened(inferenceServer(loops.server(listener), service)).start();
      file.bound(listener.mode());
      return server;
    } catch (IOException e) {
      throw new StartFailure("grpc-uds: cannot listen on '%s': %s".formatted(listener.path(), bindWords(e)));
    }
  }

  /// Made ready beside the loading of models, done beside the opening of the store and the listeners.
  private PathWarmUp warmUp(EventLoops loops, Executor slow) {
    return PathWarmUp.begin(
        runtime, slow, config.warmUp(), (listener, service) -> inferenceServer(loops.server(listener), service));
  }

  /// On the event loops themselves: a hop to an executor would cost more than a small model does.
  private Server inferenceServer(NettyServerBuilder builder, InferenceService service) {
    GrpcOptions options = config.grpc();
    MessageBudget messageBudget = new MessageBudget(budget, () -> metrics.refused(MessageBudget.REASON));
    builder
        .maxInboundMessageSize(config.listeners().messageBytesMax())
        .decompressorRegistry(Decompression.registry())
        .maxInboundMetadataSize(METADATA_BYTES_MAX)
        .maxConcurrentCallsPerConnection(CALLS_PER_CONNECTION_MAX)
        .addStreamTracerFactory(messageBudget)
        .addTransportFilter(messageBudget.connections())
        .maxRstFramesPerWindow(RESETS_MAX, RESETS_WINDOW_SECONDS)
        .keepAliveTime(options.keepAliveTime().toMillis(), TimeUnit.MILLISECONDS)
        .keepAliveTimeout(options.keepAliveTimeout().toMillis(), TimeUnit.MILLISECONDS)
        .permitKeepAliveTime(10, TimeUnit.SECONDS)
        .permitKeepAliveWithoutCalls(true)
        .intercept(openStreams)
        .addService(UnreadableRequests.refusedBy(health.getHealthService().bindService()))
        .addService(UnreadableRequests.refusedBy(ProtoReflectionServiceV1.newInstance().bindService()))
        .addService(UnreadableRequests.refusedBy(reflectionV1Alpha().bindService()));
    if (options.connectionAgeMax().isPositive()) {
      builder.maxConnectionAge(options.connectionAgeMax().toMillis(), TimeUnit.MILLISECONDS);
      if (options.connectionAgeGrace().isPositive()) {
        builder.maxConnectionAgeGrace(options.connectionAgeGrace().toMillis(), TimeUnit.MILLISECONDS);
      }
    }
    ServerServiceDefinition definition = ServerInterceptors.intercept(service.definition(), messageBudget);
    int deflateLevel =
        switch (options.compression()) {
          case NONE -> 0;
          case LOW -> Deflater.BEST_SPEED;
          case MEDIUM -> 6;
          case HIGH -> Deflater.BEST_COMPRESSION;
        };
    if (deflateLevel > 0) {
      ResponseCompression compression = new ResponseCompression(deflateLevel);
      builder.compressorRegistry(compression.registry());
      definition = ServerInterceptors.intercept(definition, compression);
    }
    return builder.addService(definition).build();
  }

  /// For clients that load, unload and list models; what does not fit is refused.
  private static ThreadPoolExecutor repositoryThreads() {
    ThreadPoolExecutor threads =
        new ThreadPoolExecutor(
            REPOSITORY_THREADS,
            REPOSITORY_THREADS,
            10,
            TimeUnit.SECONDS,
            new ArrayBlockingQueue<>(REPOSITORY_REQUESTS_MAX),
            task -> Thread.ofPlatform().daemon().name("sluice-repository").unstarted(task));
    threads.allowCoreThreadTimeOut(true);
    return threads;
  }

  private RestServer restServer(
      Inference inference, ModelQueries queries, RepositoryRequests requests, ServerSettings settings, Executor slow)
      throws StartFailure {
    try {
      return RestServer.start(
          address(config.listeners().host(), config.listeners().httpPort()),
          config.listeners().messageBytesMax(),
          budget,
          inference,
          queries,
          requests,
          settings,
          slow);
    } catch (IOException e) {
      throw inUse("http-port", config.listeners().host(), config.listeners().httpPort(), e);
    }
  }

  private Server controlServer(String whyNoControl) throws StartFailure {
    ScheduledExecutorService timer =
        opened(
            Executors.newScheduledThreadPool(
                1, task -> Thread.ofPlatform().daemon().name("sluice-watch").unstarted(task)));
    return listen(
        "control-port",
        NettyServerBuilder.forAddress(address(config.listeners().controlHost(), config.listeners().controlPort()))
            .executor(opened(Executors.newVirtualThreadPerTaskExecutor()))
            .addService(new RolloutService(controller, whyNoControl, timer))
            .addService(new ModelService(repository, routes, controller, whyNoControl))
            .addService(health.getHealthService())
            .addService(ProtoReflectionServiceV1.newInstance())
            .addService(reflectionV1Alpha())
            .build(),
        config.listeners().controlHost(),
        config.listeners().controlPort());
  }

  /// The tools that people have (grpcurl, Postman, Debian's grpc_cli) still ask for the older name.
  @SuppressWarnings("deprecation")
  private static io.grpc.BindableService reflectionV1Alpha() {
    return io.grpc.protobuf.services.ProtoReflectionService.newInstance();
  }

  private MetricsServer metricsServer() throws StartFailure {
    try {
      return new MetricsServer(
          address(config.listeners().host(), config.listeners().metricsPort()),
          metrics::scrape,
          () -> state() != ServerState.FAULTY,
          this::isReady);
    } catch (IOException e) {
      throw inUse("metrics-port", config.listeners().host(), config.listeners().metricsPort(), e);
    }
  }

  private static Server listen(String setting, Server server, String host, int port) throws StartFailure {
    try {
      return server.start();
    } catch (IOException e) {
      throw inUse(setting, host, port, e);
    }
  }

  private static StartFailure inUse(String setting, String host, int port, IOException e) {
    return new StartFailure("%s: cannot listen on %s:%d: %s".formatted(setting, host, port, bindWords(e)));
  }

  private static String bindWords(IOException e) {
    Throwable cause = e.getCause() == null ? e : e.getCause();
    return String.valueOf(cause.getMessage()).replaceFirst("^bind.*error\\(-?\\d+\\): ", "");
  }

  /// Java's file exceptions say what they mean in the name of their class only.
  private static String words(IOException e) {
    return switch (e) {
      case FileAlreadyExistsException exists -> exists.getFile() + " is not a directory";
      case AccessDeniedException denied -> denied.getFile() + " may not be written";
      default -> String.valueOf(e.getMessage());
    };
  }

  private static InetSocketAddress address(String host, int port) throws StartFailure {
    InetSocketAddress address = new InetSocketAddress(host, port);
    if (address.isUnresolved()) {
      throw new StartFailure("host: '%s' is not an address of this machine".formatted(host));
    }
    return address;
  }

  /// The version that the build wrote into the jar's manifest.
  public static String version() {
    String version = Gateway.class.getPackage().getImplementationVersion();
    return version == null ? "unpackaged" : version;
  }

  // --- how it is ------------------------------------------------------------------------------------------------------

  private ServerState state() {
    ServerState now = state;
    return now == ServerState.READY && runtime.fault().isPresent() ? ServerState.FAULTY : now;
  }

  private boolean isReady() {
    return state() == ServerState.READY && readiness.modelsReady();
  }

  /// Health's own end is final: what comes after it changes nothing any more.
  private void showHealth() {
    ServingStatus status = isReady() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
    health.setStatus(HealthStatusManager.SERVICE_NAME_ALL_SERVICES, status);
    health.setStatus(GRPCInferenceServiceGrpc.SERVICE_NAME, status);
  }

  // --- what is running ------------------------------------------------------------------------------------------------

  public int grpcPort() {
    return inferenceServer.getPort();
  }

  public int httpPort() {
    return restServer.port();
  }

  public int metricsPort() {
    return metricsServer.port();
  }

  public int controlPort() {
    return controlServer.getPort();
  }

  public ModelRepository repository() {
    return repository;
  }

  public Routes routes() {
    return routes;
  }

  public GatewayMetrics metrics() {
    return metrics;
  }

  // --- the end --------------------------------------------------------------------------------------------------------

  /// Not ready any more, no new calls, calls in flight finish, everything is closed in the reverse order of opening.
  @Override
  public void close() {
    if (state != ServerState.READY) {
      return; // closed before
    }
    state = ServerState.EXITING;
    health.enterTerminalState();
    inferenceServer.shutdown();
    if (unixServer != null) {
      unixServer.shutdown();
    }
    restServer.shutdown();
    openStreams.end();
    long drainEndNanos = System.nanoTime() + config.listeners().drain().toNanos();
    try {
      boolean ended = inferenceServer.awaitTermination(config.listeners().drain().toNanos(), TimeUnit.NANOSECONDS);
      if (unixServer != null) {
        ended &= unixServer.awaitTermination(Math.max(0, drainEndNanos - System.nanoTime()), TimeUnit.NANOSECONDS);
      }
      ended &= restServer.awaitTermination(Math.max(0, drainEndNanos - System.nanoTime()), TimeUnit.NANOSECONDS);
      if (!ended) {
        log.warn("calls were still in flight after {}; they are cut off", config.listeners().drain());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    closeOpened();
  }

  private <T> T opened(T part) {
    switch (part) {
      case Server server -> opened.push(() -> server.shutdownNow().awaitTermination(5, TimeUnit.SECONDS));
      // Not close(): it would wait for watchers that never end by themselves.
      case java.util.concurrent.ExecutorService executor -> opened.push(executor::shutdownNow);
      case AutoCloseable closeable -> opened.push(closeable);
      default -> throw new IllegalArgumentException(part + " cannot be closed");
    }
    return part;
  }

  private void closeOpened() {
    while (!opened.isEmpty()) {
      try {
        opened.pop().close();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } catch (Exception e) {
        log.error("a part of the gateway did not close", e);
      }
    }
  }
}
