package dev.sluice.runtime.repository;

import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelSettings;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.LongStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// What was said about a model before it is loaded: its `config.pbtxt`, or the JSON that came with a load request, or
/// nothing. It is known to be servable; [Completion] holds it against the model.
final class ModelConfiguration {
  static final String FILE = "config.pbtxt";

  private static final Logger log = LoggerFactory.getLogger(ModelConfiguration.class);
  private static final String NAMED_FILES = "configs";
  private static final int BYTES_MAX = 1 << 20;

  private final Path modelFolder;
  private final String model;
  private final String label;
  private final ModelConfig config;
  private final ConfigOptions options;

  private ModelConfiguration(
      Path modelFolder, String model, String label, ModelConfig config, ConfigOptions options)
      throws ModelLoadException {
    this.modelFolder = modelFolder;
    this.model = model;
    this.label = label;
    this.config = config;
    this.options = options;
    ConfigCheck.require(config, model, label);
    List<String> ignored = ConfigCheck.ignored(config);
    if (!ignored.isEmpty()) {
      log.warn("{}: ignored {}", label, String.join(", ", ignored));
    }
  }

  /// Reads the file in a model's folder: `configs/<name>.pbtxt` if that name was chosen and the model has it, else
  /// `config.pbtxt`, else nothing was said.
  static ModelConfiguration read(Path modelFolder, String model, ConfigOptions options) throws ModelLoadException {
    String file = FILE;
    if (options.configName() != null) {
      String named = "%s/%s.pbtxt".formatted(NAMED_FILES, options.configName());
      file = Files.exists(modelFolder.resolve(named)) ? named : FILE;
    }
    String label = model + "/" + file;
    if (Files.notExists(modelFolder.resolve(file))) {
      return new ModelConfiguration(modelFolder, model, label, ModelConfig.getDefaultInstance(), options);
    }
    ModelConfig config = ConfigText.ofText(text(modelFolder, file, label), label, options.ignoreUnknownFields());
    return new ModelConfiguration(modelFolder, model, label, config, options);
  }

  /// Reads the JSON that a load request brought along instead of the file.
  static ModelConfiguration ofJson(Path modelFolder, String model, String json, ConfigOptions options)
      throws ModelLoadException {
    String label = "the config given for model '%s'".formatted(model);
    if (json.length() > BYTES_MAX) {
      throw new ModelLoadException("%s has more than %d characters".formatted(label, BYTES_MAX));
    }
    ModelConfig config = ConfigText.ofJson(json, label, options.ignoreUnknownFields());
    return new ModelConfiguration(modelFolder, model, label, config, options);
  }

  private static String text(Path modelFolder, String file, String label) throws ModelLoadException {
    try {
      Path real = modelFolder.resolve(file).toRealPath();
      if (!real.startsWith(modelFolder.toRealPath())) {
        throw new ModelLoadException("%s is a link that leaves the model's folder".formatted(label));
      }
      if (!Files.isRegularFile(real)) {
        throw new ModelLoadException("%s is not a regular file".formatted(label));
      }
      if (Files.size(real) > BYTES_MAX) {
        throw new ModelLoadException("%s has more than %d bytes".formatted(label, BYTES_MAX));
      }
      return Files.readString(real);
    } catch (CharacterCodingException e) {
      throw new ModelLoadException("%s is not UTF-8".formatted(label), e);
    } catch (IOException e) {
      throw new ModelLoadException("%s cannot be read: %s".formatted(label, e.getClass().getSimpleName()), e);
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

  /// How the runtime is to load the model.
  ModelSettings settings() throws ModelLoadException {
    ModelSettings settings = ModelSettings.defaults().withExecution(ExecutionConfiguration.of(config, label));
    String file = config.getDefaultModelFilename();
    return file.isEmpty() ? settings : settings.withModelFilename(file);
  }

  Path modelFolder() {
    return modelFolder;
  }

  String model() {
    return model;
  }

  /// What messages call it.
  String label() {
    return label;
  }

  ModelConfig config() {
    return config;
  }

  ConfigOptions options() {
    return options;
  }
}
