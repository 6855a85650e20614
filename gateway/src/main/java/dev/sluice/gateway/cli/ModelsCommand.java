package dev.sluice.gateway.cli;

import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.ListModelsResponse;
import dev.sluice.proto.control.v1.LoadVersionRequest;
import dev.sluice.proto.control.v1.ModelServiceGrpc;
import dev.sluice.proto.control.v1.ModelVersion;
import dev.sluice.proto.control.v1.UnloadVersionRequest;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/// `sluice models`: which versions are loaded, and loading and unloading them.
@Command(name = "models", description = "Lists, loads and unloads versions of models.")
final class ModelsCommand {
  @Mixin
  private Control control = new Control();

  @Mixin
  private Output output = new Output();

  @Command(description = "Lists the versions that the gateway knows.")
  int list(
      @Parameters(paramLabel = "MODEL", arity = "0..1", defaultValue = "", description = "Only of this model.")
      String model) {
    try (Connection connection = control.open()) {
      ListModelsRequest request = ListModelsRequest.newBuilder().setModel(model).build();
      ListModelsResponse models = connection.stub(ModelServiceGrpc::newBlockingStub).listModels(request);
      if (output.json()) {
        output.print(models);
      } else {
        printTable(models.getVersionsList());
      }
      return 0;
    }
  }

  @Command(description = "Loads a version from the model repository, or loads it anew.")
  int load(
      @Parameters(paramLabel = "MODEL") String model,
      @Parameters(paramLabel = "VERSION") long version) {
    try (Connection connection = control.open()) {
      LoadVersionRequest request = LoadVersionRequest.newBuilder().setModel(model).setVersion(version).build();
      return print(connection.stub(ModelServiceGrpc::newBlockingStub).loadVersion(request));
    }
  }

  @Command(description = "Takes a version out of service; calls in flight finish.")
  int unload(
      @Parameters(paramLabel = "MODEL") String model,
      @Parameters(paramLabel = "VERSION") long version) {
    try (Connection connection = control.open()) {
      UnloadVersionRequest request = UnloadVersionRequest.newBuilder().setModel(model).setVersion(version).build();
      return print(connection.stub(ModelServiceGrpc::newBlockingStub).unloadVersion(request));
    }
  }

  private int print(ModelVersion version) {
    if (output.json()) {
      output.print(version);
    } else {
      printTable(List.of(version));
    }
    return 0;
  }

  private void printTable(List<ModelVersion> versions) {
    Table table = new Table("MODEL", "VERSION", "STATE", "DEFAULT", "IN FLIGHT", "REASON");
    for (ModelVersion version : versions) {
      table.row(
          version.getModel(), version.getVersion(), version.getState(), version.getIsDefault() ? "yes" : "no",
          version.getCallsInFlight(), version.getReason());
    }
    table.print(output.out());
  }
}
