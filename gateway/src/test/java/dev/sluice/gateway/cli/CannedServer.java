package dev.sluice.gateway.cli;

import dev.sluice.gateway.cli.picture.Rollouts;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.proto.control.v1.CreateRolloutRequest;
import dev.sluice.proto.control.v1.Event;
import dev.sluice.proto.control.v1.GetRolloutRequest;
import dev.sluice.proto.control.v1.ListEventsRequest;
import dev.sluice.proto.control.v1.ListEventsResponse;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.ListModelsResponse;
import dev.sluice.proto.control.v1.ListRolloutsRequest;
import dev.sluice.proto.control.v1.ListRolloutsResponse;
import dev.sluice.proto.control.v1.LoadVersionRequest;
import dev.sluice.proto.control.v1.ModelServiceGrpc.ModelServiceImplBase;
import dev.sluice.proto.control.v1.ModelVersion;
import dev.sluice.proto.control.v1.PauseRolloutRequest;
import dev.sluice.proto.control.v1.PromoteRolloutRequest;
import dev.sluice.proto.control.v1.RemoveLabelRequest;
import dev.sluice.proto.control.v1.ResumeRolloutRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutServiceGrpc.RolloutServiceImplBase;
import dev.sluice.proto.control.v1.SetLabelRequest;
import dev.sluice.proto.control.v1.SetWeightRequest;
import dev.sluice.proto.control.v1.UnloadVersionRequest;
import dev.sluice.proto.control.v1.WatchRolloutRequest;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceImplBase;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelMetadataResponse;
import io.grpc.BindableService;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;

/// A gRPC server on loopback that remembers what it was asked and gives the answers that a test put into it.
final class CannedServer implements AutoCloseable {
  final List<Object> requests = new CopyOnWriteArrayList<>();

  volatile @Nullable RuntimeException failure;
  volatile boolean silent;
  volatile Rollout rollout = Rollouts.canary();
  volatile List<Rollout> changes = List.of();
  volatile ModelMetadataResponse metadata = ModelMetadataResponse.getDefaultInstance();
  volatile ModelInferResponse inference = ModelInferResponse.getDefaultInstance();

  private final List<StreamObserver<?>> unanswered = new ArrayList<>();
  private final Server server;
  private final String address;

  CannedServer() {
    List<BindableService> services = List.of(new Rolling(), new Models(), new Inference());
    try {
      server = Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
          .addServices(services.stream().map(BindableService::bindService).toList())
          .build()
          .start();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    address = "127.0.0.1:" + server.getPort();
  }

  String address() {
    return address;
  }

  Object lastRequest() {
    return requests.getLast();
  }

  @Override
  public void close() {
    server.shutdownNow();
    try {
      server.awaitTermination();
    } catch (InterruptedException _) {
      Thread.currentThread().interrupt();
    }
  }

  private <T> void answer(Object request, StreamObserver<T> caller, List<T> answers) {
    requests.add(request);
    RuntimeException failed = failure;
    if (silent) {
      unanswered.add(caller);
    } else if (failed != null) {
      caller.onError(failed);
    } else {
      answers.forEach(caller::onNext);
      caller.onCompleted();
    }
  }

  private <T> void answer(Object request, StreamObserver<T> caller, T answer) {
    answer(request, caller, List.of(answer));
  }

  private final class Rolling extends RolloutServiceImplBase {
    @Override
    public void createRollout(CreateRolloutRequest request, StreamObserver<Rollout> caller) {
      answer(request, caller, rollout);
    }

    @Override
    public void getRollout(GetRolloutRequest request, StreamObserver<Rollout> caller) {
      answer(request, caller, rollout);
    }

    @Override
    public void listRollouts(ListRolloutsRequest request, StreamObserver<ListRolloutsResponse> caller) {
      answer(request, caller, ListRolloutsResponse.newBuilder().addRollouts(rollout).build());
    }

    @Override
    public void watchRollout(WatchRolloutRequest request, StreamObserver<Rollout> caller) {
      answer(request, caller, changes);
    }

    @Override
    public void setWeight(SetWeightRequest request, StreamObserver<Rollout> caller) {
      answer(request, caller, rollout);
    }

    @Override
    public void pauseRollout(PauseRolloutRequest request, StreamObserver<Rollout> caller) {
      answer(request, caller, rollout);
    }

    @Override
    public void resumeRollout(ResumeRolloutRequest request, StreamObserver<Rollout> caller) {
      answer(request, caller, rollout);
    }

    @Override
    public void abortRollout(AbortRolloutRequest request, StreamObserver<Rollout> caller) {
      answer(request, caller, rollout);
    }

    @Override
    public void promoteRollout(PromoteRolloutRequest request, StreamObserver<Rollout> caller) {
      answer(request, caller, rollout);
    }

    @Override
    public void listEvents(ListEventsRequest request, StreamObserver<ListEventsResponse> caller) {
      Event event = Event.newBuilder()
          .setRevision(1)
          .setTime(rollout.getUpdateTime())
          .setRollout("fraud-v2")
          .setActor("mia")
          .setKind("created")
          .setReason("new features")
          .setHash("0123456789abcdef")
          .build();
      answer(request, caller, ListEventsResponse.newBuilder().addEvents(event).build());
    }
  }

  private final class Models extends ModelServiceImplBase {
    private final ModelVersion version = ModelVersion.newBuilder()
        .setModel("fraud").setVersion(2).setState("READY").setIsDefault(true).setCallsInFlight(3).addLabels("next")
        .addLabels("stable").build();

    @Override
    public void listModels(ListModelsRequest request, StreamObserver<ListModelsResponse> caller) {
      answer(request, caller, ListModelsResponse.newBuilder().addVersions(version).build());
    }

    @Override
    public void loadVersion(LoadVersionRequest request, StreamObserver<ModelVersion> caller) {
      answer(request, caller, version);
    }

    @Override
    public void setLabel(SetLabelRequest request, StreamObserver<ModelVersion> caller) {
      answer(request, caller, version);
    }

    @Override
    public void removeLabel(RemoveLabelRequest request, StreamObserver<ModelVersion> caller) {
      answer(request, caller, version);
    }

    @Override
    public void unloadVersion(UnloadVersionRequest request, StreamObserver<ModelVersion> caller) {
      answer(request, caller, version);
    }
  }

  private final class Inference extends GRPCInferenceServiceImplBase {
    @Override
    public void modelMetadata(ModelMetadataRequest request, StreamObserver<ModelMetadataResponse> caller) {
      answer(request, caller, metadata);
    }

    @Override
    public void modelInfer(ModelInferRequest request, StreamObserver<ModelInferResponse> caller) {
      answer(request, caller, inference);
    }
  }
}
