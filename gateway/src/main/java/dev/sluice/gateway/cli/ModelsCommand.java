package dev.sluice.gateway.cli;

import dev.sluice.gateway.cli.Failures.InvalidInput;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.proto.control.v1.ListModelsResponse;
import dev.sluice.proto.control.v1.LoadVersionRequest;
import dev.sluice.proto.control.v1.ModelServiceGrpc;
import dev.sluice.proto.control.v1.ModelVersion;
import dev.sluice.proto.control.v1.RemoveLabelRequest;
import dev.sluice.proto.control.v1.SetLabelRequest;
import dev.sluice.proto.control.v1.UnloadVersionRequest;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/// `sluice models`: which versions are loaded, loading and unloading them, and their labels.
@Command(name = "models", description = "Lists, loads, unloads and labels versions of models.")
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

  @Command(description = "Gives loaded versions names that callers can use in place of their numbers, or moves the names.")
  int label(
      @Parameters(paramLabel = "MODEL") String model,
      @Parameters(paramLabel = "LABEL=VERSION", arity = "1..*", converter = NameAndText.Converter.class)
      List<NameAndText> labels,
      @Mixin Actor actor,
      @Option(names = "--reason", defaultValue = "", paramLabel = "TEXT", description = "Kept in the audit trail.")
      String reason) {
    List<SetLabelRequest> requests = new ArrayList<>();
    for (NameAndText label : labels) {
      requests.add(
          SetLabelRequest.newBuilder()
              .setModel(model)
              .setLabel(label.name())
              .setVersion(version(label))
              .setReason(reason)
              .setActor(actor.name)
              .build());
    }
    try (Connection connection = control.open()) {
      for (SetLabelRequest request : requests) {
        print(connection.stub(ModelServiceGrpc::newBlockingStub).setLabel(request));
      }
      return 0;
    }
  }

  private static long version(NameAndText label) {
    try {
      long version = Long.parseLong(label.text());
      if (version > 0) {
        return version;
      }
    } catch (NumberFormatException e) {
      // told below
    }
    throw new InvalidInput("'%s=%s': expected the number of a version".formatted(label.name(), label.text()));
  }

  @Command(description = "Takes a name away.")
  int unlabel(
      @Parameters(paramLabel = "MODEL") String model,
      @Parameters(paramLabel = "LABEL") String label,
      @Mixin Actor actor,
      @Option(names = "--reason", defaultValue = "", paramLabel = "TEXT", description = "Kept in the audit trail.")
      String reason) {
    try (Connection connection = control.open()) {
      RemoveLabelRequest request =
          RemoveLabelRequest.newBuilder()
              .setModel(model)
              .setLabel(label)
              .setReason(reason)
              .setActor(actor.name)
              .build();
      return print(connection.stub(ModelServiceGrpc::newBlockingStub).removeLabel(request));
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
    Table table = new Table("MODEL", "VERSION", "STATE", "DEFAULT", "LABELS", "IN FLIGHT", "REASON");
    for (ModelVersion version : versions) {
      table.row(
          version.getModel(), version.getVersion(), version.getState(), version.getIsDefault() ? "yes" : "no",
          String.join(" ", version.getLabelsList()), version.getCallsInFlight(), version.getReason());
    }
    table.print(output.out());
  }
}
