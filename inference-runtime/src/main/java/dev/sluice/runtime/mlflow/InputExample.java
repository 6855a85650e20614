package dev.sluice.runtime.mlflow;

import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;

/// A request that the model's makers kept with it. It is run before the version is ready: a model that fails on its own
/// example, or answers it with what it does not declare, is not let in.
///
/// All shapes that MLflow writes are read: a table as `{"columns", "data"}` (also within `dataframe_split`) or as
/// `dataframe_records`, tensors as `inputs` or `instances`, an object of inputs by name, and a plain array for the only
/// input. A table is the only input's matrix, or one column for each input.
final class InputExample {
  private static final int BYTES_MAX = 64 << 20;
  private static final int DEPTH_MAX = 64;
  /// Enough to warm the code that real requests will use; the ordinary warm-up measures.
  private static final int RUNS = 5;
  private static final long RUNS_NANOS_MAX = TimeUnit.SECONDS.toNanos(2);
  private static final JsonMapper JSON =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder().maxNestingDepth(DEPTH_MAX).maxDocumentLength(BYTES_MAX).build())
                  .build())
          .build();

  private final List<Tensor> inputs;
  private final String label;

  private InputExample(List<Tensor> inputs, String label) {
    this.inputs = inputs;
    this.label = label;
  }

  /// @param label what messages call the file
  static InputExample read(Path folder, String file, Signature signature, String label) throws ModelLoadException {
    byte[] bytes = MlflowFile.read(folder, file, BYTES_MAX, label);
    try {
      return new InputExample(new Reading(signature, label).inputs(JSON.readTree(bytes)), label);
    } catch (JacksonException e) {
      throw new ModelLoadException("%s is not JSON: %s".formatted(label, e.getOriginalMessage()), e);
    }
  }

  List<Tensor> inputs() {
    return inputs;
  }

  /// Runs it, and holds what comes out against what the model declares.
  void check(Session session, RunControl control) throws ModelLoadException {
    List<TensorSpec> declared = session.signature().outputs();
    List<String> names = declared.stream().map(TensorSpec::name).toList();
    List<Tensor> outputs = run(session, names, control);
    boolean finite = inputs.stream().allMatch(InputExample::isFinite);
    for (int i = 0; i < declared.size(); i++) {
      TensorSpec spec = declared.get(i);
      Tensor output = outputs.get(i);
      if (output.datatype() != spec.datatype() || !spec.shape().accepts(output.shape())) {
        throw new ModelLoadException(
            "%s: output '%s' is %s %s; the model declares %s %s"
                .formatted(
                    label, spec.name(), output.datatype(), output.shape(), spec.datatype(), spec.shape()));
      }
      if (finite && !isFinite(output)) {
        throw new ModelLoadException(
            "%s: output '%s' holds a number that is not finite, and every input is".formatted(label, spec.name()));
      }
    }
    long start = System.nanoTime();
    for (int run = 1; run < RUNS && System.nanoTime() - start < RUNS_NANOS_MAX; run++) {
      var _ = run(session, names, control);
    }
  }

  private List<Tensor> run(Session session, List<String> names, RunControl control) throws ModelLoadException {
    try {
      return session.run(inputs, names, control);
    } catch (ModelExecutionException e) {
      throw new ModelLoadException("%s: the model fails on it: %s".formatted(label, e.getMessage()), e);
    }
  }

  private static boolean isFinite(Tensor tensor) {
    ByteBuffer bytes = tensor.bytes().duplicate().order(tensor.bytes().order());
    switch (tensor.datatype()) {
      case FP32 -> {
        while (bytes.hasRemaining()) {
          if (!Float.isFinite(bytes.getFloat())) {
            return false;
          }
        }
      }
      case FP64 -> {
        while (bytes.hasRemaining()) {
          if (!Double.isFinite(bytes.getDouble())) {
            return false;
          }
        }
      }
      case FP16 -> {
        while (bytes.hasRemaining()) {
          if (!Float.isFinite(Float.float16ToFloat(bytes.getShort()))) {
            return false;
          }
        }
      }
      case BF16 -> {
        while (bytes.hasRemaining()) {
          if (!Float.isFinite(Float.intBitsToFloat(bytes.getShort() << 16))) {
            return false;
          }
        }
      }
      case BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, BYTES -> {}
    }
    return true;
  }

  // --- reading --------------------------------------------------------------------------------------------------------

  /// Finds each input's values in the document.
  private record Reading(Signature signature, String label) {

    List<Tensor> inputs(JsonNode root) throws ModelLoadException {
      Map<String, JsonNode> values = byName(root);
      TreeSet<String> strange = new TreeSet<>(values.keySet());
      List<Tensor> tensors = new ArrayList<>();
      for (TensorSpec spec : signature.inputs()) {
        JsonNode value = values.get(spec.name());
        if (value != null) {
          strange.remove(spec.name());
          tensors.add(JsonTensor.of(spec, value, label));
        } else if (!spec.optional()) {
          throw new ModelLoadException(
              "%s has no input '%s'; it has %s".formatted(label, spec.name(), values.keySet()));
        }
      }
      if (!strange.isEmpty()) {
        throw new ModelLoadException(
            "%s has %s; the model has the inputs %s".formatted(label, strange, names()));
      }
      return tensors;
    }

    private Map<String, JsonNode> byName(JsonNode root) throws ModelLoadException {
      if (root.isArray()) {
        return array(root);
      }
      if (!root.isObject()) {
        return only(root);
      }
      if (root.has("dataframe_split")) {
        return table(root.get("dataframe_split"));
      }
      if (root.has("dataframe_records")) {
        return array(root.get("dataframe_records"));
      }
      if (root.path("columns").isArray() && root.path("data").isArray()) {
        return table(root);
      }
      for (String wrapper : List.of("inputs", "instances")) {
        // An input may be called so itself.
        if (root.has(wrapper) && signature.input(wrapper) == null) {
          JsonNode inner = root.get(wrapper);
          return inner.isArray() ? array(inner) : inner.isObject() ? object(inner) : only(inner);
        }
      }
      return object(root);
    }

    private Map<String, JsonNode> object(JsonNode object) {
      Map<String, JsonNode> values = new LinkedHashMap<>();
      object.properties().forEach(property -> values.put(property.getKey(), property.getValue()));
      return values;
    }

    /// Rows that name their columns, or the values of the only input.
    private Map<String, JsonNode> array(JsonNode rows) throws ModelLoadException {
      if (!rows.path(0).isObject()) {
        return only(rows);
      }
      List<String> columns = rows.path(0).properties().stream().map(Map.Entry::getKey).toList();
      ArrayNode table = JSON.createArrayNode();
      for (JsonNode row : rows) {
        ArrayNode cells = table.addArray();
        for (String column : columns) {
          if (!row.has(column)) {
            throw new ModelLoadException("%s: a row has no '%s', and the first one has".formatted(label, column));
          }
          cells.add(row.get(column));
        }
      }
      return table(columns, table);
    }

    private Map<String, JsonNode> table(JsonNode split) throws ModelLoadException {
      List<String> columns = split.path("columns").valueStream().map(column -> column.asString("")).toList();
      return table(columns, split.path("data"));
    }

    private Map<String, JsonNode> table(List<String> columns, JsonNode rows) throws ModelLoadException {
      for (JsonNode row : rows) {
        if (row.size() != columns.size()) {
          throw new ModelLoadException(
              "%s: a row has %d values, and there are %d columns".formatted(label, row.size(), columns.size()));
        }
      }
      // The table is the only input's matrix, unless its only column is the input itself.
      if (signature.inputs().size() == 1 && !columns.equals(names())) {
        return only(rows);
      }
      Map<String, JsonNode> values = new LinkedHashMap<>();
      for (int column = 0; column < columns.size(); column++) {
        ArrayNode cells = JSON.createArrayNode();
        for (JsonNode row : rows) {
          cells.add(row.get(column));
        }
        values.put(columns.get(column), cells);
      }
      return values;
    }

    private Map<String, JsonNode> only(JsonNode value) throws ModelLoadException {
      if (signature.inputs().size() != 1) {
        throw new ModelLoadException(
            "%s names no inputs; the model has %s".formatted(label, names()));
      }
      return Map.of(signature.inputs().getFirst().name(), value);
    }

    private List<String> names() {
      return signature.inputs().stream().map(TensorSpec::name).toList();
    }
  }
}
