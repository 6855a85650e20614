package dev.sluice.gateway.control;

import dev.sluice.gateway.routing.Routes;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.ListModelsResponse;
import dev.sluice.proto.control.v1.LoadVersionRequest;
import dev.sluice.proto.control.v1.ModelServiceGrpc.ModelServiceImplBase;
import dev.sluice.proto.control.v1.ModelVersion;
import dev.sluice.proto.control.v1.RemoveLabelRequest;
import dev.sluice.proto.control.v1.SetLabelRequest;
import dev.sluice.proto.control.v1.UnloadVersionRequest;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.repository.Model;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.repository.VersionStatus;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.StreamObserver;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// `sluice.control.v1.ModelService`: the versions in the repository, loaded and unloaded one by one, and their labels.
public final class ModelService extends ModelServiceImplBase {

  private final ModelRepository repository;
  private final Routes routes;
  private final @Nullable RolloutController controller;
  private final String whyNot;

  /// @param controller null when the control plane could not start; whyNot says why
  public ModelService(
      ModelRepository repository, Routes routes, @Nullable RolloutController controller, String whyNot) {
    this.repository = repository;
    this.routes = routes;
    this.controller = controller;
    this.whyNot = whyNot;
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
    try {
      var _ = repository.load(request.getModel(), request.getVersion());
      answer(request.getModel(), request.getVersion(), out);
    } catch (ModelLoadException e) {
      out.onError(refusal(e));
    }
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
      out.onError(refusal(e));
    }
  }

  private static StatusRuntimeException refusal(ModelLoadException e) {
    ControlFailure.Kind kind =
        switch (e.kind()) {
          case NOT_FOUND -> ControlFailure.Kind.NOT_FOUND;
          case INVALID, REFUSED, FAILED -> ControlFailure.Kind.REFUSED;
          case UNAVAILABLE -> ControlFailure.Kind.UNAVAILABLE;
        };
    return ControlStatuses.of(new ControlFailure(kind, e.getMessage()));
  }

  // --- labels ---------------------------------------------------------------------------------------------------------

  @Override
  public void setLabel(SetLabelRequest request, StreamObserver<ModelVersion> out) {
    try {
      controller()
          .setLabel(
              request.getModel(), request.getLabel(), request.getVersion(), request.getActor(), request.getReason());
      answer(request.getModel(), request.getVersion(), out);
    } catch (ControlFailure e) {
      out.onError(ControlStatuses.of(e));
    }
  }

  @Override
  public void removeLabel(RemoveLabelRequest request, StreamObserver<ModelVersion> out) {
    try {
      long version =
          controller().removeLabel(request.getModel(), request.getLabel(), request.getActor(), request.getReason());
      answer(request.getModel(), version, out);
    } catch (ControlFailure e) {
      out.onError(ControlStatuses.of(e));
    }
  }

  private RolloutController controller() throws ControlFailure {
    if (controller == null) {
      throw new ControlFailure(ControlFailure.Kind.UNAVAILABLE, "labels cannot be changed: " + whyNot);
    }
    return controller;
  }

  // --- answers --------------------------------------------------------------------------------------------------------

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
        .addAllLabels(labels(status.model(), status.version()))
        .build();
  }

  private List<String> labels(String model, long version) {
    return routes.labels(model).entrySet().stream()
        .filter(label -> label.getValue() == version)
        .map(Map.Entry::getKey)
        .toList();
  }

  /// Version 0, which stands for a model as a whole, never is.
  private boolean isDefault(String model, long version) {
    return version != 0 && routes.defaultVersion(model) == version;
  }
}
