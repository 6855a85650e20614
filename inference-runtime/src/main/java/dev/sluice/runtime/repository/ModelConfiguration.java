package dev.sluice.runtime.repository;

import com.google.protobuf.TextFormat;
import dev.sluice.proto.inference.DataType;
import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.proto.inference.ModelInput;
import dev.sluice.proto.inference.ModelOutput;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.TensorSpec;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// What a model's `config.pbtxt` says, as far as Sluice heeds it; without the file, the defaults.
///
/// `max_batch_size: 0` means what it says: the model's own shapes, no batch. (Triton would turn it into 4.)
final class ModelConfiguration {
  static final String FILE = "config.pbtxt";

  private static final Logger log = LoggerFactory.getLogger(ModelConfiguration.class);
  private static final long BYTES_MAX = 1 << 20;
  private static final String UNKNOWN_FIELDS = "Input contains unknown fields";
  private static final String BACKEND = "onnxruntime";

  private final String model;
  private final ModelConfig config;

  private ModelConfiguration(String model, ModelConfig config) {
    this.model = model;
    this.config = config;
  }

  /// Reads the file in a model's folder, if there is one.
  static ModelConfiguration read(Path modelFolder, String model) throws ModelLoadException {
    Path file = modelFolder.resolve(FILE);
    String label = model + "/" + FILE;
    try {
      if (Files.notExists(file)) {
        return new ModelConfiguration(model, ModelConfig.getDefaultInstance());
      }
      if (Files.size(file) > BYTES_MAX) {
        throw new ModelLoadException("%s has more than %d bytes".formatted(label, BYTES_MAX));
      }
      ModelConfig config = parse(Files.readString(file), label);
      requireServable(config, model, label);
      return new ModelConfiguration(model, config);
    } catch (CharacterCodingException e) {
      throw new ModelLoadException("%s is not UTF-8".formatted(label), e);
    } catch (IOException e) {
      throw new ModelLoadException("%s cannot be read: %s".formatted(label, e.getClass().getSimpleName()), e);
    }
  }

  private static ModelConfig parse(String text, String label) throws ModelLoadException {
    ModelConfig.Builder config = ModelConfig.newBuilder();
    try {
      TextFormat.getParser().merge(text, config);
    } catch (TextFormat.ParseException e) {
      // The parser complains of unknown fields only after it has read everything else into the builder. Most files
      // written for Triton have some, and told to allow them it would log them without saying of which file.
      String message = String.valueOf(e.getMessage()).replaceFirst("^\\d+:\\d+: ", "");
      if (!message.startsWith(UNKNOWN_FIELDS)) {
        throw new ModelLoadException(
            "%s, line %d, column %d: %s".formatted(label, e.getLine(), e.getColumn(), message), e);
      }
      log.warn("{}: ignored {}", label, message.lines().skip(1).map(String::strip).collect(Collectors.joining(", ")));
    }
    return config.build();
  }

  private static void requireServable(ModelConfig config, String model, String label) throws ModelLoadException {
    if (!config.getName().isEmpty() && !config.getName().equals(model)) {
      throw new ModelLoadException(
          "%s: name is '%s'; expected the folder's, '%s'".formatted(label, config.getName(), model));
    }
    if (!config.getPlatform().isEmpty() && !config.getPlatform().equals(Model.PLATFORM)) {
      throw new ModelLoadException(
          "%s: platform is '%s'; expected '%s'".formatted(label, config.getPlatform(), Model.PLATFORM));
    }
    if (!config.getBackend().isEmpty() && !config.getBackend().equals(BACKEND)) {
      throw new ModelLoadException("%s: backend is '%s'; expected '%s'".formatted(label, config.getBackend(), BACKEND));
    }
    if (config.getMaxBatchSize() < 0) {
      throw new ModelLoadException(
          "%s: max_batch_size is %d; expected at least 0".formatted(label, config.getMaxBatchSize()));
    }
  }

  /// Which versions are to be served, given those on disk in ascending order.
  long[] wanted(long[] onDisk) {
    return switch (config.getVersionPolicy().getPolicyChoiceCase()) {
      case ALL -> onDisk;
      case SPECIFIC ->
          LongStream.of(onDisk).filter(config.getVersionPolicy().getSpecific().getVersionsList()::contains).toArray();
      case LATEST, POLICYCHOICE_NOT_SET -> {
        long latest = Math.max(1, Integer.toUnsignedLong(config.getVersionPolicy().getLatest().getNumVersions()));
        yield Arrays.copyOfRange(onDisk, (int) Math.max(0, onDisk.length - latest), onDisk.length);
      }
    };
  }

  ModelSettings settings() throws ModelLoadException {
    return new ModelSettings(
        config.getMaxBatchSize(), ExecutionConfiguration.of(config, "%s/%s".formatted(model, FILE)));
  }

  /// Holds what the file declares against what the model says of itself.
  void requireMatch(Signature signature) throws ModelLoadException {
    if (config.getMaxBatchSize() > 0) {
      requireBatches("input", signature.inputs());
      requireBatches("output", signature.outputs());
    }
    for (ModelInput input : config.getInputList()) {
      requireMatch(
          "input", input.getName(), input.getDataType(), input.getDimsList(), signature.input(input.getName()));
    }
    for (ModelOutput output : config.getOutputList()) {
      requireMatch(
          "output", output.getName(), output.getDataType(), output.getDimsList(), signature.output(output.getName()));
    }
    if (config.getInputCount() > 0) {
      Set<String> declared = config.getInputList().stream().map(ModelInput::getName).collect(Collectors.toSet());
      for (TensorSpec input : signature.inputs()) {
        if (!declared.contains(input.name())) {
          throw mismatch("input '%s' of the model is not declared".formatted(input.name()));
        }
      }
    }
  }

  private void requireBatches(String kind, List<TensorSpec> specs) throws ModelLoadException {
    for (TensorSpec spec : specs) {
      if (spec.shape().rank() == 0 || spec.shape().dim(0) != -1) {
        throw mismatch(
            "max_batch_size is %d; %s '%s' has shape %s, which does not begin with a free batch dimension"
                .formatted(config.getMaxBatchSize(), kind, spec.name(), spec.shape()));
      }
    }
  }

  private void requireMatch(String kind, String name, DataType dataType, List<Long> dims, @Nullable TensorSpec spec)
      throws ModelLoadException {
    if (spec == null) {
      throw mismatch("%s '%s' is not a tensor of the model".formatted(kind, name));
    }
    if (datatype(dataType) != spec.datatype()) {
      throw mismatch("%s '%s' is %s; the model has %s".formatted(kind, name, dataType, spec.datatype()));
    }
    LongStream declared = dims.stream().mapToLong(Long::longValue);
    boolean batches = config.getMaxBatchSize() > 0;
    long[] shape = (batches ? LongStream.concat(LongStream.of(-1), declared) : declared).toArray();
    if (Arrays.stream(shape).anyMatch(dim -> dim < -1) || !spec.shape().accepts(Shape.of(shape))) {
      throw mismatch(
          "%s '%s' has dims %s%s; the model has %s"
              .formatted(kind, name, dims, batches ? " after the batch dimension" : "", spec.shape()));
    }
  }

  private ModelLoadException mismatch(String fault) {
    return new ModelLoadException("%s/%s: %s".formatted(model, FILE, fault));
  }

  private static @Nullable Datatype datatype(DataType type) {
    return switch (type) {
      case TYPE_BOOL -> Datatype.BOOL;
      case TYPE_UINT8 -> Datatype.UINT8;
      case TYPE_UINT16 -> Datatype.UINT16;
      case TYPE_UINT32 -> Datatype.UINT32;
      case TYPE_UINT64 -> Datatype.UINT64;
      case TYPE_INT8 -> Datatype.INT8;
      case TYPE_INT16 -> Datatype.INT16;
      case TYPE_INT32 -> Datatype.INT32;
      case TYPE_INT64 -> Datatype.INT64;
      case TYPE_FP16 -> Datatype.FP16;
      case TYPE_FP32 -> Datatype.FP32;
      case TYPE_FP64 -> Datatype.FP64;
      case TYPE_STRING -> Datatype.BYTES;
      case TYPE_BF16 -> Datatype.BF16;
      case TYPE_INVALID, UNRECOGNIZED -> null;
    };
  }
}
