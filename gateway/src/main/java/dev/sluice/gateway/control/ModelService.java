package dev.sluice.gateway.control;

import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.ListModelsResponse;
import dev.sluice.proto.control.v1.LoadVersionRequest;
import dev.sluice.proto.control.v1.ModelServiceGrpc.ModelServiceImplBase;
import dev.sluice.proto.control.v1.ModelVersion;
import dev.sluice.proto.control.v1.UnloadVersionRequest;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.repository.Model;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.repository.VersionStatus;
import io.grpc.stub.StreamObserver;
import org.jspecify.annotations.Nullable;

/// `sluice.control.v1.ModelService`: the versions in the repository, loaded and unloaded one by one.
public final class ModelService extends ModelServiceImplBase {

  private final ModelRepository repository;
  private final Routes routes;

  public ModelService(ModelRepository repository, Routes routes) {
    this.repository = repository;
    this.routes = routes;
  }

  @Override
  public void listModels(ListModelsRequest request, StreamObserver<ListModelsResponse> out) {
    ListModelsResponse.Builder response = ListModelsResponse.newBuilder();
    for (VersionStatus status : repository.index()) {
      if (request.getModel().isEmpty() || request.getModel().equals(status.model())) {
        response.addVersions(message(status));
      }
    }
    out.onNext(response.build());
    out.onCompleted();
  }

  @Override
  public void loadVersion(LoadVersionRequest request, StreamObserver<ModelVersion> out) {
    LiveRollout rollout = routes.rollout(request.getModel());
    Model model = repository.find(request.getModel());
    if (rollout != null && model != null && model.version(request.getVersion()) != null && plays(rollout, request.getVersion())) {
      out.onError(
          ControlStatuses.of(
              new ControlFailure(
                  ControlFailure.Kind.REFUSED,
                  "model '%s' version %d is in rollout '%s': replacing it would make the evidence another version's"
                      .formatted(request.getModel(), request.getVersion(), rollout.note().name()))));
      return;
    }
    try {
      repository.load(request.getModel(), request.getVersion());
      answer(request.getModel(), request.getVersion(), out);
    } catch (ModelLoadException e) {
      out.onError(refusal(request.getModel(), request.getVersion(), e));
    }
  }

  private static boolean plays(LiveRollout rollout, long version) {
    return version == rollout.note().baselineVersion() || version == rollout.note().candidateVersion();
  }

  /// The version that unversioned calls reach stays: taking it away would be an outage, and during a rollout it is what
  /// every call can fall back to.
  @Override
  public void unloadVersion(UnloadVersionRequest request, StreamObserver<ModelVersion> out) {
    if (isDefault(request.getModel(), request.getVersion())) {
      out.onError(
          ControlStatuses.of(
              new ControlFailure(
                  ControlFailure.Kind.REFUSED,
                  "model '%s' version %d answers its unversioned calls and cannot be unloaded"
                      .formatted(request.getModel(), request.getVersion()))));
      return;
    }
    try {
      repository.unload(request.getModel(), request.getVersion());
      answer(request.getModel(), request.getVersion(), out);
    } catch (ModelLoadException e) {
      out.onError(refusal(request.getModel(), request.getVersion(), e));
    }
  }

  private io.grpc.StatusRuntimeException refusal(String model, long version, ModelLoadException e) {
    boolean known = repository.known(model) && repository.status(model, version) != null;
    return ControlStatuses.of(
        new ControlFailure(
            known ? ControlFailure.Kind.REFUSED : ControlFailure.Kind.NOT_FOUND, String.valueOf(e.getMessage())));
  }

  private void answer(String model, long version, StreamObserver<ModelVersion> out) {
    VersionStatus status = repository.status(model, version);
    out.onNext(
        status == null
            ? ModelVersion.newBuilder().setModel(model).setVersion(version).setState("UNLOADED").build()
            : message(status));
    out.onCompleted();
  }

  private ModelVersion message(VersionStatus status) {
    Model model = repository.find(status.model());
    dev.sluice.runtime.model.@Nullable ModelVersion loaded = model == null ? null : model.version(status.version());
    return ModelVersion.newBuilder()
        .setModel(status.model())
        .setVersion(status.version())
        .setState(status.state().name())
        .setReason(status.reason())
        .setIsDefault(isDefault(status.model(), status.version()))
        .setCallsInFlight(loaded == null ? 0 : loaded.callsInFlight())
        .build();
  }

  /// Version 0, which stands for a model as a whole, never is.
  private boolean isDefault(String model, long version) {
    return version != 0 && routes.defaultVersion(model) == version;
  }
}
