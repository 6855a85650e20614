package dev.sluice.gateway.inference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.google.protobuf.ByteString;
import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import com.google.protobuf.Descriptors.FileDescriptor;
import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.reflection.v1.ServerReflectionGrpc;
import io.grpc.reflection.v1.ServerReflectionRequest;
import io.grpc.reflection.v1.ServerReflectionResponse;
import io.grpc.stub.StreamObserver;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// What tools and load balancers ask of any gRPC server.
class HealthAndReflectionTest {

  private static final String INFERENCE = "inference.GRPCInferenceService";

  @SuppressWarnings("NullAway.Init") // before each test
  private RunningGateway gateway;

  @BeforeEach
  void start(@TempDir Path folder) throws Exception {
    Path models = Files.createDirectories(folder.resolve("models"));
    OnnxModels.linear(2, 0, 2).writeTo(models, "linear", 1);
    gateway = RunningGateway.start(models, folder.resolve("data"));
  }

  @AfterEach
  void stop() {
    gateway.close();
  }

  // --- health --------------------------------------------------------------------------------------------------------

  @Test
  void theServerAndItsServiceAreServing() {
    for (ManagedChannel channel : List.of(gateway.inferenceChannel(), gateway.controlChannel())) {
      assertThat(check(channel, "")).isEqualTo(ServingStatus.SERVING);
      assertThat(check(channel, INFERENCE)).isEqualTo(ServingStatus.SERVING);
    }
  }

  @Test
  void anUnknownServiceIsNotFound() {
    assertThat(Refusal.of(() -> check(gateway.inferenceChannel(), "nosuch")).code()).isEqualTo(Status.Code.NOT_FOUND);
  }

  @Test
  void aWatcherLearnsOfTheEndAndDoesNotHoldItUp() {
    Watcher<HealthCheckResponse> overall = watch("");
    Watcher<HealthCheckResponse> service = watch(INFERENCE);
    Watcher<HealthCheckResponse> unknown = watch("nosuch");
    await().untilAsserted(() -> {
      assertThat(statuses(overall)).containsExactly(ServingStatus.SERVING);
      assertThat(statuses(service)).containsExactly(ServingStatus.SERVING);
      assertThat(statuses(unknown)).containsExactly(ServingStatus.SERVICE_UNKNOWN);
    });

    long began = System.nanoTime();
    gateway.gateway().close();
    Duration took = Duration.ofNanos(System.nanoTime() - began);

    await().untilAsserted(() -> {
      assertThat(statuses(overall)).containsExactly(ServingStatus.SERVING, ServingStatus.NOT_SERVING);
      assertThat(statuses(service)).containsExactly(ServingStatus.SERVING, ServingStatus.NOT_SERVING);
    });
    assertThat(overall.end).succeedsWithin(Duration.ofSeconds(10)).extracting(Status::getCode)
        .isEqualTo(Status.Code.UNAVAILABLE);
    assertThat(took).as("the drain is for calls, 5 s here").isLessThan(Duration.ofSeconds(3));
  }

  // --- reflection ----------------------------------------------------------------------------------------------------

  @Test
  void reflectionListsEveryServiceOfEachFace() {
    assertThat(services(gateway.inferenceChannel()))
        .containsExactlyInAnyOrder(
            INFERENCE, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection");
    assertThat(services(gateway.controlChannel()))
        .containsExactlyInAnyOrder(
            "sluice.control.v1.RolloutService", "sluice.control.v1.ModelService", "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection");
  }

  @Test
  void everyServiceCanBeBuiltFromWhatReflectionTells() {
    for (ManagedChannel channel : List.of(gateway.inferenceChannel(), gateway.controlChannel())) {
      for (String service : services(channel)) {
        FileDescriptorProto file =
            file(reflect(channel, ServerReflectionRequest.newBuilder().setFileContainingSymbol(service).build()));
        FileDescriptor built = built(channel, file, new HashMap<>());
        assertThat(built.getServices().stream().map(s -> s.getFullName())).contains(service);
      }
    }
  }

  @Test
  @SuppressWarnings("deprecation") // what the older tools still speak
  void theOlderReflectionTellsTheSame() {
    for (ManagedChannel channel : List.of(gateway.inferenceChannel(), gateway.controlChannel())) {
      Watcher<io.grpc.reflection.v1alpha.ServerReflectionResponse> answers = new Watcher<>();
      StreamObserver<io.grpc.reflection.v1alpha.ServerReflectionRequest> questions =
          io.grpc.reflection.v1alpha.ServerReflectionGrpc.newStub(channel).serverReflectionInfo(answers);
      questions.onNext(
          io.grpc.reflection.v1alpha.ServerReflectionRequest.newBuilder().setListServices("").build());
      questions.onCompleted();
      assertThat(answers.end).succeedsWithin(Duration.ofSeconds(10)).isEqualTo(Status.OK);

      assertThat(answers.seen.getFirst().getListServicesResponse().getServiceList().stream().map(s -> s.getName()))
          .containsExactlyInAnyOrderElementsOf(services(channel));
    }
  }

  // --- parts ---------------------------------------------------------------------------------------------------------

  private static final class Watcher<T> implements StreamObserver<T> {
    private final List<T> seen = new CopyOnWriteArrayList<>();
    private final CompletableFuture<Status> end = new CompletableFuture<>();

    @Override
    public void onNext(T value) {
      seen.add(value);
    }

    @Override
    public void onError(Throwable t) {
      end.complete(Status.fromThrowable(t));
    }

    @Override
    public void onCompleted() {
      end.complete(Status.OK);
    }
  }

  private static ServingStatus check(ManagedChannel channel, String service) {
    return HealthGrpc.newBlockingStub(channel)
        .check(HealthCheckRequest.newBuilder().setService(service).build())
        .getStatus();
  }

  private Watcher<HealthCheckResponse> watch(String service) {
    Watcher<HealthCheckResponse> watcher = new Watcher<>();
    HealthGrpc.newStub(gateway.inferenceChannel())
        .watch(HealthCheckRequest.newBuilder().setService(service).build(), watcher);
    return watcher;
  }

  private static List<ServingStatus> statuses(Watcher<HealthCheckResponse> watcher) {
    return watcher.seen.stream().map(HealthCheckResponse::getStatus).toList();
  }

  private static List<String> services(ManagedChannel channel) {
    return reflect(channel, ServerReflectionRequest.newBuilder().setListServices("").build())
        .getListServicesResponse().getServiceList().stream().map(service -> service.getName()).toList();
  }

  private static ServerReflectionResponse reflect(ManagedChannel channel, ServerReflectionRequest question) {
    Watcher<ServerReflectionResponse> answers = new Watcher<>();
    StreamObserver<ServerReflectionRequest> questions =
        ServerReflectionGrpc.newStub(channel).serverReflectionInfo(answers);
    questions.onNext(question);
    questions.onCompleted();
    assertThat(answers.end).succeedsWithin(Duration.ofSeconds(10)).isEqualTo(Status.OK);
    return answers.seen.getFirst();
  }

  private static FileDescriptorProto file(ServerReflectionResponse response) {
    assertThat(response.hasErrorResponse()).as("%s", response.getErrorResponse()).isFalse();
    ByteString first = response.getFileDescriptorResponse().getFileDescriptorProto(0);
    try {
      return FileDescriptorProto.parseFrom(first);
    } catch (com.google.protobuf.InvalidProtocolBufferException e) {
      throw new AssertionError(e);
    }
  }

  private static FileDescriptor built(
      ManagedChannel channel, FileDescriptorProto file, Map<String, FileDescriptor> known) {
    FileDescriptor[] dependencies =
        file.getDependencyList().stream()
            .map(name -> {
              FileDescriptor before = known.get(name);
              return before != null
                  ? before
                  : built(
                      channel,
                      file(reflect(channel, ServerReflectionRequest.newBuilder().setFileByFilename(name).build())),
                      known);
            })
            .toArray(FileDescriptor[]::new);
    try {
      FileDescriptor built = FileDescriptor.buildFrom(file, dependencies);
      known.put(file.getName(), built);
      return built;
    } catch (com.google.protobuf.Descriptors.DescriptorValidationException e) {
      throw new AssertionError(file.getName() + " does not build", e);
    }
  }
}
