package dev.sluice.runtime.repository;

import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.proto.inference.ModelDynamicBatching;
import dev.sluice.proto.inference.ModelInput;
import dev.sluice.proto.inference.ModelInstanceGroup;
import dev.sluice.proto.inference.ModelInstanceGroup.Kind;
import dev.sluice.proto.inference.ModelOutput;
import dev.sluice.proto.inference.ModelVersionPolicy;
import dev.sluice.runtime.model.DeviceUse;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.Scheduling;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Holds a configuration against its model, and completes it from the model where it says nothing.
///
/// What was said is kept, also `max_batch_size: 0` (Triton would turn it into 4). What is answered in the end has every
/// field that a client looks at.
final class Completion {
  private static final Logger log = LoggerFactory.getLogger(Completion.class);

  private final ModelConfiguration configuration;
  private final ModelConfig said;
  private final Signature model;
  private final DeviceUse devices;
  private final Supplier<@Nullable String> rowsDoubt;
  private final Map<String, Reshape> inputReshapes = new HashMap<>();
  private final Map<String, Reshape> outputReshapes = new HashMap<>();

  private Completion(
      ModelConfiguration configuration, Signature model, DeviceUse devices, Supplier<@Nullable String> rowsDoubt) {
    this.configuration = configuration;
    this.said = configuration.config();
    this.model = model;
    this.devices = devices;
    this.rowsDoubt = rowsDoubt;
  }

  /// @param devices that the model was loaded on
  /// @param rowsDoubt asked when batches may be formed though nobody said so: why the model's rows may not share a run,
  ///     or null
  static ResolvedModel of(
      ModelConfiguration configuration, Signature model, DeviceUse devices, Supplier<@Nullable String> rowsDoubt)
      throws ModelLoadException {
    return new Completion(configuration, model, devices, rowsDoubt).resolve();
  }

  private ResolvedModel resolve() throws ModelLoadException {
    requireCompleteUnlessCompleting();
    List<Declaration> declaredInputs = said.getInputList().stream().map(Declaration::of).toList();
    List<Declaration> declaredOutputs = said.getOutputList().stream().map(Declaration::of).toList();
    requireAllDeclared(declaredInputs);
    // What is said limits requests. What is found out only limits the batches that are made of them: a model that can
    // take more rows at once keeps doing so.
    int limit = said.getMaxBatchSize();
    List<TensorSpec> inputs = seen("input", declaredInputs, model.inputs(), limit > 0);
    List<TensorSpec> outputs = seen("output", declaredOutputs, model.outputs(), limit > 0);
    Signature signature = new Signature(inputs, outputs, model.unsupportedOutputs(), limit);
    ModelConfig config = complete(inputs, outputs, nothingSaid() ? rowsFoundOut() : limit);
    ConfigCheck.requirePreferredSizes(
        config, config.getMaxBatchSize(), configuration.model(), configuration.label());
    Scheduling scheduling = Schedules.of(config, config.getMaxBatchSize());
    requireOrder(config, scheduling);
    return new ResolvedModel(config, signature, inputReshapes, outputReshapes, scheduling);
  }

  /// Whether the configuration leaves open if there are batches. Dimensions that it names are those of whole tensors as
  /// long as it names no batch, so it does not then.
  private boolean nothingSaid() {
    return configuration.options().autoComplete()
        && !said.hasMaxBatchSize()
        && said.getInputCount() == 0
        && said.getOutputCount() == 0;
  }

  private int rowsFoundOut() {
    int rows = configuration.options().defaultMaxBatchSize();
    if (rows <= 1) {
      return 0;
    }
    String doubt = rowsDoubt.get();
    if (doubt != null) {
      log.info("model '{}': requests are not batched: {}", configuration.model(), doubt);
      return 0;
    }
    log.info("model '{}': requests are batched up to {} rows: rows are independent", configuration.model(), rows);
    return rows;
  }

  private void requireCompleteUnlessCompleting() throws ModelLoadException {
    if (configuration.options().autoComplete()) {
      return;
    }
    List<String> missing = new ArrayList<>();
    if (said.getPlatform().isEmpty() && said.getBackend().isEmpty()) {
      missing.add("'platform' or 'backend'");
    }
    if (said.getInputCount() == 0 && !model.inputs().isEmpty()) {
      missing.add("'input'");
    }
    if (said.getOutputCount() == 0) {
      missing.add("'output'");
    }
    if (!missing.isEmpty()) {
      throw fault(
          "must specify %s for %s, because auto-complete is switched off (--disable-auto-complete-config)"
              .formatted(String.join(", ", missing), configuration.model()));
    }
  }

  // --- tensors ------------------------------------------------------------------------------------------------------

  private void requireAllDeclared(List<Declaration> declared) throws ModelLoadException {
    if (declared.isEmpty()) {
      return;
    }
    Set<String> names = new HashSet<>();
    declared.forEach(input -> names.add(input.name()));
    for (TensorSpec input : model.inputs()) {
      if (!input.optional() && !names.contains(input.name())) {
        throw fault("input '%s' of the model is not declared".formatted(input.name()));
      }
    }
  }

  /// The tensors as callers see them: those declared, or all of the model's when none is.
  private List<TensorSpec> seen(String kind, List<Declaration> declared, List<TensorSpec> specs, boolean batches)
      throws ModelLoadException {
    List<TensorSpec> seen = new ArrayList<>();
    if (declared.isEmpty()) {
      // What has a default is left to it, unless the configuration says otherwise; Triton knows nothing of it at all.
      specs.stream().filter(spec -> !spec.optional()).forEach(seen::add);
    }
    for (Declaration tensor : declared) {
      TensorSpec spec = kind.equals("input") ? model.input(tensor.name()) : model.output(tensor.name());
      if (spec == null) {
        throw fault("%s '%s' is not a tensor of the model".formatted(kind, tensor.name()));
      }
      if (tensor.optional() && !spec.optional()) {
        throw fault(
            "%s '%s' is optional, but the model has no default for it, which is an initialiser of that name"
                .formatted(kind, tensor.name()));
      }
      if (batches && !spec.shape().isAnyRank()) {
        requireBatch(kind, spec);
      }
      seen.add(seen(tensor, spec, batches));
    }
    if (declared.isEmpty() && batches) {
      for (TensorSpec spec : seen) {
        requireBatch(kind, spec);
      }
    }
    return seen;
  }

  private TensorSpec seen(Declaration declared, TensorSpec spec, boolean batches) throws ModelLoadException {
    if (DataTypes.of(declared.dataType()) != spec.datatype()) {
      throw fault(
          "%s '%s' is %s; the model has %s"
              .formatted(declared.kind(), declared.name(), declared.dataType(), spec.datatype()));
    }
    Shape callers = shape(declared.dims(), batches);
    Shape models = shape(declared.modelDims(), batches);
    if (!spec.shape().accepts(models)) {
      throw fault(
          "%s '%s' has %s %s%s; the model has %s"
              .formatted(
                  declared.kind(),
                  declared.name(),
                  declared.reshape() == null ? "dims" : "reshape",
                  declared.modelDims(),
                  batches ? " after the batch dimension" : "",
                  spec.shape()));
    }
    if (!callers.equals(models)) {
      if (declared.kind().equals("input")) {
        inputReshapes.put(declared.name(), new Reshape(callers, models));
      } else {
        outputReshapes.put(declared.name(), new Reshape(models, callers));
      }
    }
    return new TensorSpec(spec.name(), spec.datatype(), callers, declared.optional());
  }

  private void requireBatch(String kind, TensorSpec spec) throws ModelLoadException {
    if (!RowIndependence.batches(spec)) {
      throw fault(
          ("autofill failed for model '%s': model does not support batching while non-zero max_batch_size is"
                  + " specified: max_batch_size is %d; %s '%s' has shape %s, which does not begin with a free batch"
                  + " dimension")
              .formatted(configuration.model(), said.getMaxBatchSize(), kind, spec.name(), spec.shape()));
    }
  }

  private static Shape shape(List<Long> dims, boolean batches) {
    LongStream own = dims.stream().mapToLong(Long::longValue);
    return Shape.of((batches ? LongStream.concat(LongStream.of(-1), own) : own).toArray());
  }

  // --- what clients are told ----------------------------------------------------------------------------------------

  private ModelConfig complete(List<TensorSpec> inputs, List<TensorSpec> outputs, int batch) {
    ModelConfig.Builder config = said.toBuilder();
    config.setName(configuration.model()).setPlatform(Model.PLATFORM).setBackend(ConfigCheck.BACKEND);
    config.setMaxBatchSize(batch);
    if (config.getVersionPolicy().getPolicyChoiceCase() == ModelVersionPolicy.PolicyChoiceCase.POLICYCHOICE_NOT_SET) {
      config.getVersionPolicyBuilder().getLatestBuilder().setNumVersions(1);
    }
    if (config.getDefaultModelFilename().isEmpty()) {
      config.setDefaultModelFilename(ModelSettings.MODEL_FILENAME);
    }
    if (said.getInputCount() == 0) {
      inputs.forEach(
          spec ->
              config.addInput(
                  ModelInput.newBuilder()
                      .setName(spec.name())
                      .setDataType(DataTypes.configName(spec.datatype()))
                      .addAllDims(dims(spec.shape(), batch > 0))));
    }
    if (said.getOutputCount() == 0) {
      outputs.forEach(
          spec ->
              config.addOutput(
                  ModelOutput.newBuilder()
                      .setName(spec.name())
                      .setDataType(DataTypes.configName(spec.datatype()))
                      .addAllDims(dims(spec.shape(), batch > 0))));
    }
    completeInstances(config);
    completeBatching(config, batch);
    return config.build();
  }

  private static List<Long> dims(Shape shape, boolean batches) {
    return LongStream.of(shape.toArray()).skip(batches ? 1 : 0).boxed().toList();
  }

  private void completeInstances(ModelConfig.Builder config) {
    if (config.getInstanceGroupCount() == 0) {
      // In order means one at a time, unless somebody asks for both.
      boolean ordered = config.getDynamicBatching().getPreserveOrdering() && config.getMaxBatchSize() == 0;
      config.addInstanceGroupBuilder().setCount(ordered ? 1 : devices.instancesPerDevice());
    }
    for (int i = 0; i < config.getInstanceGroupCount(); i++) {
      ModelInstanceGroup.Builder group = config.getInstanceGroupBuilder(i);
      if (group.getName().isEmpty()) {
        group.setName("%s_%d".formatted(config.getName(), i));
      }
      if (group.getCount() == 0) {
        group.setCount(devices.onGpu() ? devices.instancesPerDevice() : 1);
      }
      if (group.getGpusCount() == 0 && (group.getKind() == Kind.KIND_AUTO || group.getKind() == Kind.KIND_MODEL)) {
        group.setKind(devices.onGpu() ? Kind.KIND_GPU : Kind.KIND_CPU);
      }
      if (group.getGpusCount() == 0 && group.getKind() == Kind.KIND_GPU) {
        group.addAllGpus(devices.gpus());
      }
    }
  }

  // As Triton: a configuration that names all of its tensors is one whose owner has said everything.
  private void completeBatching(ModelConfig.Builder config, int batch) {
    boolean everythingSaid =
        !configuration.options().autoComplete() || (said.getInputCount() > 0 && said.getOutputCount() > 0);
    if (batch > 1
        && !everythingSaid
        && config.getSchedulingChoiceCase() == ModelConfig.SchedulingChoiceCase.SCHEDULINGCHOICE_NOT_SET) {
      config.setDynamicBatching(ModelDynamicBatching.getDefaultInstance());
    }
  }

  private void requireOrder(ModelConfig config, Scheduling scheduling) throws ModelLoadException {
    if (config.getDynamicBatching().getPreserveOrdering()
        && scheduling.batching() == null
        && scheduling.instances() > 1) {
      throw fault(
          "dynamic_batching.preserve_ordering with %d instances needs a max_batch_size above 0; it is 0"
              .formatted(scheduling.instances()));
    }
  }

  private ModelLoadException fault(String fault) {
    return new ModelLoadException("%s: %s".formatted(configuration.label(), fault));
  }
}
