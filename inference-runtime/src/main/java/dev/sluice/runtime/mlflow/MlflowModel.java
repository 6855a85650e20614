package dev.sluice.runtime.mlflow;

import dev.sluice.runtime.model.ExecutionSettings;
import dev.sluice.runtime.model.ExecutionSettings.GraphLevel;
import dev.sluice.runtime.model.ExecutionSettings.Threads;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.snakeyaml.engine.v2.api.Load;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.api.lowlevel.Parse;
import org.snakeyaml.engine.v2.events.CollectionEndEvent;
import org.snakeyaml.engine.v2.events.CollectionStartEvent;
import org.snakeyaml.engine.v2.events.Event;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;

/// What the `MLmodel` in a folder says of the ONNX model beside it.
///
/// Only the flavor `onnx` is heeded: where the file is, how it is to be run, what goes in and comes out, and an example of
/// the one. The Python parts (environments, code, `python_function`) are nobody's business here, and `providers` is not
/// either: MLflow writes CUDA first into every model, so it says nothing about this one.
public final class MlflowModel {
  public static final String FILE = "MLmodel";

  private static final Logger log = LoggerFactory.getLogger(MlflowModel.class);
  private static final int BYTES_MAX = 1 << 20;
  /// MLflow's own are five deep.
  private static final int DEPTH_MAX = 64;

  private static final int ALIASES_MAX = 100;
  private static final String EXAMPLE = "input_example.json";
  private static final String SERVING_EXAMPLE = "serving_input_example.json";
  private static final Set<String> SESSION_OPTIONS =
      Set.of("graph_optimization_level", "intra_op_num_threads", "inter_op_num_threads", "execution_mode");

  private final Path folder;
  private final String label;
  private final Map<?, ?> root;
  private final Map<?, ?> flavor;

  private MlflowModel(Path folder, String label, Map<?, ?> root, Map<?, ?> flavor) {
    this.folder = folder;
    this.label = label;
    this.root = root;
    this.flavor = flavor;
  }

  /// Whether MLflow has written this folder.
  public static boolean isIn(Path folder) {
    return Files.isRegularFile(folder.resolve(FILE));
  }

  /// The folder's model, or null when MLflow has not written it.
  ///
  /// @param label what messages call the folder, as `<model>/<version>`
  public static @Nullable MlflowModel read(Path folder, String label) throws ModelLoadException {
    if (!isIn(folder)) {
      return null;
    }
    String file = label + "/" + FILE;
    String text = new String(MlflowFile.read(folder, FILE, BYTES_MAX, file), StandardCharsets.UTF_8);
    Map<?, ?> root = parse(text, file);
    Map<?, ?> flavors = map(root.get("flavors"), file + ": flavors");
    if (!flavors.containsKey("onnx")) {
      throw new ModelLoadException("%s has the flavors %s; expected onnx".formatted(file, flavors.keySet()));
    }
    return new MlflowModel(folder, label, root, map(flavors.get("onnx"), file + ": flavors.onnx"));
  }

  private static Map<?, ?> parse(String text, String file) throws ModelLoadException {
    LoadSettings settings =
        LoadSettings.builder()
            .setLabel(file)
            .setCodePointLimit(BYTES_MAX)
            .setMaxAliasesForCollections(ALIASES_MAX)
            .build();
    try {
      // Events first, because they come one by one: loading recurses, so its depth must be known before.
      requireShallow(new Parse(settings).parseString(text), file);
      return map(new Load(settings).loadFromString(text), file);
    } catch (YamlEngineException e) {
      String words = String.valueOf(e.getMessage()).lines().map(String::strip).reduce((a, b) -> a + " " + b).orElse("");
      throw new ModelLoadException("%s is not YAML: %s".formatted(file, words), e);
    }
  }

  private static void requireShallow(Iterable<Event> events, String file) throws ModelLoadException {
    int depth = 0;
    for (Event event : events) {
      depth += event instanceof CollectionStartEvent ? 1 : event instanceof CollectionEndEvent ? -1 : 0;
      if (depth > DEPTH_MAX) {
        throw new ModelLoadException("%s is nested more than %d deep".formatted(file, DEPTH_MAX));
      }
    }
  }

  // --- how it is to be loaded -----------------------------------------------------------------------------------------

  /// The given settings, and what `MLmodel` says wherever they say nothing.
  public ModelSettings settings(ModelSettings given) throws ModelLoadException {
    ModelSettings named =
        given.modelFilename().equals(ModelSettings.MODEL_FILENAME) ? given.withModelFilename(modelFilename()) : given;
    Object options = flavor.get("onnx_session_options");
    return options == null ? named : named.withExecution(execution(named.execution(), options));
  }

  private String modelFilename() throws ModelLoadException {
    Object data = flavor.get("data");
    if (data == null) {
      return ModelSettings.MODEL_FILENAME;
    }
    if (!(data instanceof String name) || !MlflowFile.isPlain(name)) {
      throw fault("flavors.onnx.data is '%s'; expected the name of a file in the folder".formatted(data));
    }
    return name;
  }

  private ExecutionSettings execution(ExecutionSettings given, Object value) throws ModelLoadException {
    Map<?, ?> options = map(value, "%s/%s: flavors.onnx.onnx_session_options".formatted(label, FILE));
    for (Object name : options.keySet()) {
      if (!SESSION_OPTIONS.contains(String.valueOf(name))) {
        log.warn("{}/{}: ignored the session option '{}'", label, FILE, name);
      }
    }
    Threads threads = given.threads();
    GraphLevel level = given.graphLevel();
    try {
      return new ExecutionSettings(
          new Threads(
              threads.intraOp().isPresent() ? threads.intraOp() : threads(options, "intra_op_num_threads"),
              threads.interOp().isPresent() ? threads.interOp() : threads(options, "inter_op_num_threads"),
              threads.parallel() || isParallel(options)),
          level == GraphLevel.ALL ? graphLevel(options) : level,
          given.memory(),
          given.placement(),
          given.sessionEntries());
    } catch (IllegalArgumentException e) {
      throw new ModelLoadException("%s/%s: onnx_session_options: %s".formatted(label, FILE, e.getMessage()), e);
    }
  }

  /// 0, as in ONNX Runtime and in MLflow, is "not said".
  private OptionalInt threads(Map<?, ?> options, String name) throws ModelLoadException {
    return switch (options.get(name)) {
      case null -> OptionalInt.empty();
      case Integer threads -> threads == 0 ? OptionalInt.empty() : OptionalInt.of(threads);
      case Object other -> throw option(name, other, "a number of threads");
    };
  }

  private boolean isParallel(Map<?, ?> options) throws ModelLoadException {
    Object mode = options.get("execution_mode");
    return switch (mode == null ? "sequential" : mode.toString().toLowerCase(Locale.ROOT)) {
      case "sequential" -> false;
      case "parallel" -> true;
      default -> throw option("execution_mode", String.valueOf(mode), "'sequential' or 'parallel'");
    };
  }

  private GraphLevel graphLevel(Map<?, ?> options) throws ModelLoadException {
    return switch (options.get("graph_optimization_level")) {
      case null -> GraphLevel.ALL;
      case Integer level ->
          switch (level) {
            case 0 -> GraphLevel.NONE;
            case 1 -> GraphLevel.BASIC;
            case 2 -> GraphLevel.EXTENDED;
            case 3, 99 -> GraphLevel.ALL;
            default -> throw option("graph_optimization_level", level, "0, 1, 2, 3 or 99");
          };
      case Object other -> throw option("graph_optimization_level", other, "0, 1, 2, 3 or 99");
    };
  }

  // --- whether it keeps its word --------------------------------------------------------------------------------------

  /// Holds the loaded model against the signature, if there is one, and runs the example, if there is one.
  ///
  /// @param session as the file has it, before any configuration has changed its face
  public void check(Session session, RunControl control) throws ModelLoadException {
    Object signature = root.get("signature");
    if (signature != null) {
      String at = "%s/%s: signature".formatted(label, FILE);
      MlflowSignature.check(map(signature, at), session.signature(), at);
    }
    String example = example();
    if (example != null) {
      InputExample.read(folder, example, session.signature(), label + "/" + example).check(session, control);
    }
  }

  /// The name of the file that holds an example, or null.
  private @Nullable String example() throws ModelLoadException {
    if (root.get("saved_input_example_info") instanceof Map<?, ?> info) {
      Object path = info.get("artifact_path");
      if (!(path instanceof String name) || !MlflowFile.isPlain(name)) {
        throw fault(
            "saved_input_example_info.artifact_path is '%s'; expected the name of a file in the folder".formatted(path));
      }
      // A scipy matrix is written as its inner arrays, which no serving client could send.
      if (String.valueOf(info.get("type")).startsWith("sparse_matrix")) {
        log.info("{}: the example is a sparse matrix, which is not tried", label);
        return null;
      }
      return name;
    }
    if (Files.isRegularFile(folder.resolve(EXAMPLE))) {
      return EXAMPLE;
    }
    return Files.isRegularFile(folder.resolve(SERVING_EXAMPLE)) ? SERVING_EXAMPLE : null;
  }

  private ModelLoadException option(String name, Object seen, String expected) {
    return fault("onnx_session_options.%s is '%s'; expected %s".formatted(name, seen, expected));
  }

  private ModelLoadException fault(String message) {
    return new ModelLoadException("%s/%s: %s".formatted(label, FILE, message));
  }

  private static Map<?, ?> map(@Nullable Object value, String label) throws ModelLoadException {
    if (value instanceof Map<?, ?> map) {
      return map;
    }
    throw new ModelLoadException(
        "%s is %s; expected a mapping".formatted(label, value == null ? "missing" : "'%s'".formatted(value)));
  }
}
