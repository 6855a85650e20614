package dev.sluice.runtime.repository;

import dev.sluice.proto.inference.DataType;
import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.proto.inference.ModelDynamicBatching;
import dev.sluice.proto.inference.ModelInput;
import dev.sluice.proto.inference.ModelInstanceGroup;
import dev.sluice.proto.inference.ModelInstanceGroup.Kind;
import dev.sluice.proto.inference.ModelOutput;
import dev.sluice.proto.inference.ModelQueuePolicy;
import dev.sluice.runtime.model.ModelLoadException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Whether Sluice can do what a configuration asks for, as far as the configuration alone can tell.
///
/// What would change a model's answers and cannot be honoured is refused; what only tunes how Triton runs a model is
/// left aside and named by [#ignored]. Where Triton refuses too, the words are Triton's.
final class ConfigCheck {
  static final String BACKEND = "onnxruntime";
  /// Each level is a queue.
  private static final long PRIORITY_LEVELS_MAX = 1_000;
  private static final int INSTANCES_MAX = 1_000;

  private final ModelConfig config;
  private final String model;
  private final String label;

  private ConfigCheck(ModelConfig config, String model, String label) {
    this.config = config;
    this.model = model;
    this.label = label;
  }

  static void require(ModelConfig config, String model, String label) throws ModelLoadException {
    ConfigCheck check = new ConfigCheck(config, model, label);
    check.identity();
    check.unservable();
    check.tensors();
    check.instances();
    if (config.hasDynamicBatching()) {
      check.queue(config.getDynamicBatching());
      if (config.hasMaxBatchSize()) {
        requirePreferredSizes(config, config.getMaxBatchSize(), model, label);
      }
    }
  }

  /// The preferred sizes against the largest batch, which may be known only when the model is.
  static void requirePreferredSizes(ModelConfig config, int maxBatchSize, String model, String label)
      throws ModelLoadException {
    for (int size : config.getDynamicBatching().getPreferredBatchSizeList()) {
      if (size <= 0) {
        throw new ModelLoadException(
            "%s: dynamic batching preferred size must be positive for %s: preferred_batch_size is %d"
                .formatted(label, model, size));
      }
      if (size > maxBatchSize) {
        throw new ModelLoadException(
            "%s: dynamic batching preferred size must be <= max batch size for %s: preferred_batch_size is %d, max_batch_size is %d"
                .formatted(label, model, size, maxBatchSize));
      }
    }
  }

  /// What the configuration says and Sluice does not heed, by the fields' names.
  static List<String> ignored(ModelConfig config) {
    List<String> ignored = new ArrayList<>();
    if (config.hasModelMetrics()) {
      ignored.add("model_metrics");
    }
    if (config.getInstanceGroupList().stream().anyMatch(ModelInstanceGroup::hasRateLimiter)) {
      ignored.add("instance_group.rate_limiter");
    }
    if (config.getInstanceGroupList().stream().anyMatch(group -> !group.getHostPolicy().isEmpty())) {
      ignored.add("instance_group.host_policy");
    }
    ModelDynamicBatching batching = config.getDynamicBatching();
    if (batching.getPriorityLevels() == 0 && batching.getDefaultPriorityLevel() != 0) {
      ignored.add("dynamic_batching.default_priority_level (priority_levels is 0)");
    }
    if (batching.getPriorityLevels() == 0 && batching.getPriorityQueuePolicyCount() > 0) {
      ignored.add("dynamic_batching.priority_queue_policy (priority_levels is 0)");
    }
    return ignored;
  }

  private void identity() throws ModelLoadException {
    if (!config.getName().isEmpty() && !config.getName().equals(model)) {
      throw fault("name is '%s'; expected the folder's, '%s'".formatted(config.getName(), model));
    }
    if (!config.getPlatform().isEmpty() && !config.getPlatform().equals(Model.PLATFORM)) {
      throw fault("platform is '%s'; expected '%s'".formatted(config.getPlatform(), Model.PLATFORM));
    }
    if (!config.getBackend().isEmpty() && !config.getBackend().equals(BACKEND)) {
      throw fault("backend is '%s'; expected '%s'".formatted(config.getBackend(), BACKEND));
    }
    if (config.getMaxBatchSize() < 0) {
      throw fault("max_batch_size is %d; expected at least 0".formatted(config.getMaxBatchSize()));
    }
    String file = config.getDefaultModelFilename();
    if (!file.isEmpty() && !PlainFile.isPlain(file)) {
      throw fault("default_model_filename is '%s'; expected the name of a file in the version's folder".formatted(file));
    }
  }

  private void unservable() throws ModelLoadException {
    String field = unservableField();
    if (field != null) {
      throw fault(field);
    }
  }

  private @Nullable String unservableField() {
    if (config.hasSequenceBatching()) {
      return "sequence_batching is not supported: each request stands for itself";
    }
    if (config.hasEnsembleScheduling()) {
      return "ensemble_scheduling is not supported: a model is one ONNX file";
    }
    if (config.getModelTransactionPolicy().getDecoupled()) {
      return "model_transaction_policy.decoupled is not supported: an ONNX model gives one answer to each request";
    }
    if (config.getModelOperations().getOpLibraryFilenameCount() > 0) {
      return "model_operations.op_library_filename is not supported: no native code is loaded with a model";
    }
    if (config.getModelRepositoryAgents().getAgentsCount() > 0) {
      return "model_repository_agents is not supported";
    }
    if (config.getBatchInputCount() > 0) {
      return "batch_input is not supported: batches are not ragged";
    }
    if (config.getBatchOutputCount() > 0) {
      return "batch_output is not supported: batches are not ragged";
    }
    if (config.getCcModelFilenamesCount() > 0) {
      return "cc_model_filenames is not supported: every device runs default_model_filename";
    }
    if (!config.getRuntime().isEmpty()) {
      return "runtime is '%s', which is not supported: ONNX Runtime comes with Sluice".formatted(config.getRuntime());
    }
    return null;
  }

  private void tensors() throws ModelLoadException {
    List<Declaration> declared = new ArrayList<>();
    for (ModelInput input : config.getInputList()) {
      String at = "model input '%s' ".formatted(input.getName());
      if (input.getAllowRaggedBatch()) {
        throw fault(at + "says allow_ragged_batch, which is not supported");
      }
      if (input.getIsShapeTensor()) {
        throw fault(at + "says is_shape_tensor: shape tensors are only supported for TensorRT platform");
      }
      if (input.getIsNonLinearFormatIo()) {
        throw fault(
            at + "says is_non_linear_format_io: Non-linear IO format is only supported for the TensorRT platform");
      }
      if (input.getFormat() != ModelInput.Format.FORMAT_NONE && input.getDimsCount() != 3) {
        throw fault(at + "is %s: NHWC/NCHW require 3 dims".formatted(input.getFormat()));
      }
      declared.add(Declaration.of(input));
    }
    requireSound(declared);
    declared.clear();
    for (ModelOutput output : config.getOutputList()) {
      String at = "model output '%s' ".formatted(output.getName());
      if (output.getIsShapeTensor()) {
        throw fault(at + "says is_shape_tensor: shape tensors are only supported for TensorRT platform");
      }
      if (output.getIsNonLinearFormatIo()) {
        throw fault(
            at + "says is_non_linear_format_io: Non-linear IO format is only supported for the TensorRT platform");
      }
      declared.add(Declaration.of(output));
    }
    requireSound(declared);
  }

  private void requireSound(List<Declaration> declared) throws ModelLoadException {
    Set<String> names = new HashSet<>();
    for (Declaration tensor : declared) {
      if (tensor.name().isEmpty()) {
        throw fault("model %s must specify 'name'".formatted(tensor.kind()));
      }
      String at = "model %s '%s' ".formatted(tensor.kind(), tensor.name());
      if (!names.add(tensor.name())) {
        throw fault(at + "is declared twice");
      }
      if (tensor.dataType() == DataType.TYPE_INVALID) {
        throw fault(at + "must specify 'data_type'");
      }
      requireDims(at + "dimension", tensor.dims());
      if (tensor.reshape() != null) {
        requireDims(at + "reshape dimension", tensor.reshape());
        String fault = Reshape.fault(tensor.dims(), tensor.reshape());
        if (fault != null) {
          throw fault(at + fault);
        }
      }
    }
  }

  private void requireDims(String what, List<Long> dims) throws ModelLoadException {
    for (long dim : dims) {
      if (dim < 1 && dim != -1) {
        throw fault(
            "%s must be integer >= 1, or -1 to indicate a variable-size dimension: %d in %s"
                .formatted(what, dim, dims));
      }
    }
  }

  private void instances() throws ModelLoadException {
    long sum = 0;
    for (ModelInstanceGroup group : config.getInstanceGroupList()) {
      String at = "instance group '%s' ".formatted(group.getName());
      if (group.getCount() < 0) {
        throw fault(at + "has count %d; expected at least 0".formatted(group.getCount()));
      }
      if ((group.getKind() == Kind.KIND_CPU || group.getKind() == Kind.KIND_MODEL) && group.getGpusCount() > 0) {
        throw fault(at + "has kind %s but specifies one or more GPUs".formatted(group.getKind()));
      }
      if (group.getProfileCount() > 0) {
        throw fault(at + "specifies profile field which is only supported for TensorRT models");
      }
      if (group.getPassive()) {
        throw fault(at + "is passive, which is not supported: an instance that runs nothing serves nobody");
      }
      if (group.getSecondaryDevicesCount() > 0) {
        throw fault(at + "names secondary_devices, which are not supported");
      }
      sum += Math.max(1, group.getCount());
    }
    if (sum > INSTANCES_MAX) {
      throw fault("instance_group counts %d instances; at most %d are supported".formatted(sum, INSTANCES_MAX));
    }
  }

  private void queue(ModelDynamicBatching batching) throws ModelLoadException {
    long levels = batching.getPriorityLevels();
    if (levels != 0) {
      if (levels < 0 || levels > PRIORITY_LEVELS_MAX) {
        throw fault(
            "priority_levels is %s; at most %d are supported"
                .formatted(Long.toUnsignedString(levels), PRIORITY_LEVELS_MAX));
      }
      requireLevel("default priority level", batching.getDefaultPriorityLevel(), levels);
      for (long level : batching.getPriorityQueuePolicyMap().keySet()) {
        requireLevel("priority queue policy must have priority level, which", level, levels);
      }
    }
    if (batching.getPreserveOrdering()) {
      if (levels > 1) {
        throw fault(
            "Only one priority level is allowed when 'preserve_ordering' is true for %s: priority_levels is %d"
                .formatted(model, levels));
      }
      List<ModelQueuePolicy> policies = new ArrayList<>(batching.getPriorityQueuePolicyMap().values());
      policies.add(batching.getDefaultQueuePolicy());
      for (ModelQueuePolicy policy : policies) {
        if (policy.getTimeoutAction() == ModelQueuePolicy.TimeoutAction.DELAY
            && policy.getDefaultTimeoutMicroseconds() != 0) {
          throw fault(
              "Queue policy can not have DELAY as timeout action when 'preserve_ordering' is true for " + model);
        }
      }
    }
  }

  private void requireLevel(String what, long level, long levels) throws ModelLoadException {
    if (level < 1 || level > levels) {
      throw fault(
          "%s must be in range [1, %d] for %s, is %s"
              .formatted(what, levels, model, Long.toUnsignedString(level)));
    }
  }

  private ModelLoadException fault(String fault) {
    return new ModelLoadException("%s: %s".formatted(label, fault));
  }
}
