package dev.sluice.runtime.mlflow;

import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.TensorSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Holds MLflow's signature against the model's own.
///
/// MLflow keeps each side as a JSON text in the YAML: a list of tensors (`{"type": "tensor", "tensor-spec": {"dtype",
/// "shape"}}`), named unless there is one only, or a list of a table's columns (`{"name", "type"}`). Columns are the names
/// of the inputs when the model has several, and the last dimension of the only one otherwise.
///
/// Two liberties are MLflow's own: it turns float64 into the float32 that a model wants, and its -1 may stand where the
/// model has a number, because it writes -1 for the first dimension of every example.
final class MlflowSignature {
  private static final JsonMapper JSON = JsonMapper.builder().build();

  private final String at;

  private MlflowSignature(String at) {
    this.at = at;
  }

  static void check(Map<?, ?> signature, Signature model, String at) throws ModelLoadException {
    new MlflowSignature(at + ".inputs").check(signature.get("inputs"), "input", model.inputs(), true);
    new MlflowSignature(at + ".outputs").check(signature.get("outputs"), "output", model.outputs(), false);
  }

  private void check(@Nullable Object text, String kind, List<TensorSpec> specs, boolean complete)
      throws ModelLoadException {
    if (text == null) {
      return;
    }
    JsonNode list = json(text);
    List<JsonNode> columns = new ArrayList<>();
    for (JsonNode entry : list) {
      if (entry.path("type").asString("").equals("tensor")) {
        tensor(entry, kind, specs);
      } else {
        columns.add(entry);
      }
    }
    if (!columns.isEmpty()) {
      columns(columns, kind, specs, complete);
    }
    if (complete && columns.isEmpty() && specs.size() > 1) {
      for (TensorSpec spec : specs) {
        if (!spec.optional() && list.valueStream().noneMatch(entry -> name(entry).equals(spec.name()))) {
          throw fault("%s '%s' of the model is not in it".formatted(kind, spec.name()));
        }
      }
    }
  }

  private JsonNode json(Object text) throws ModelLoadException {
    try {
      JsonNode list = JSON.readTree(text.toString());
      if (!list.isArray()) {
        throw fault("it is %s; expected a list".formatted(text));
      }
      return list;
    } catch (JacksonException e) {
      throw new ModelLoadException("%s is not JSON: %s".formatted(at, e.getOriginalMessage()), e);
    }
  }

  private void tensor(JsonNode entry, String kind, List<TensorSpec> specs) throws ModelLoadException {
    String name = name(entry);
    TensorSpec spec =
        specs.stream()
            .filter(candidate -> candidate.name().equals(name))
            .findAny()
            .orElse(name.isEmpty() && specs.size() == 1 ? specs.getFirst() : null);
    if (spec == null) {
      throw fault(
          name.isEmpty()
              ? "a tensor has no name; the model has the %ss %s".formatted(kind, names(specs))
              : "%s '%s' is none of the model's, which are %s".formatted(kind, name, names(specs)));
    }
    String dtype = entry.path("tensor-spec").path("dtype").asString("");
    Datatype datatype = datatype(dtype);
    boolean narrowed = datatype == Datatype.FP64 && spec.datatype() == Datatype.FP32;
    if (datatype != spec.datatype() && !narrowed) {
      throw fault("%s '%s' is %s; the model has %s".formatted(kind, spec.name(), dtype, spec.datatype()));
    }
    long[] dims = entry.path("tensor-spec").path("shape").valueStream().mapToLong(dim -> dim.asLong(-2)).toArray();
    if (!agree(dims, spec.shape())) {
      throw fault(
          "%s '%s' has shape %s; the model has %s"
              .formatted(kind, spec.name(), entry.path("tensor-spec").path("shape"), spec.shape()));
    }
  }

  private static boolean agree(long[] dims, Shape shape) {
    if (dims.length != shape.rank()) {
      return false;
    }
    for (int i = 0; i < dims.length; i++) {
      if (dims[i] < -1 || (dims[i] >= 0 && shape.dim(i) >= 0 && dims[i] != shape.dim(i))) {
        return false;
      }
    }
    return true;
  }

  private void columns(List<JsonNode> columns, String kind, List<TensorSpec> specs, boolean complete)
      throws ModelLoadException {
    if (complete && specs.size() == 1) {
      Shape shape = specs.getFirst().shape();
      long width = shape.rank() == 2 ? shape.dim(1) : -1;
      if (width >= 0 && width != columns.size()) {
        throw fault(
            "%d columns; %s '%s' of the model has shape %s"
                .formatted(columns.size(), kind, specs.getFirst().name(), shape));
      }
    }
    for (JsonNode column : columns) {
      TensorSpec spec = specs.stream().filter(s -> s.name().equals(name(column))).findAny().orElse(null);
      boolean isInput = complete && specs.size() > 1;
      if (spec == null && isInput && column.path("required").asBoolean(true)) {
        throw fault("column '%s' is none of the model's %ss, which are %s".formatted(name(column), kind, names(specs)));
      }
      // A column of the only input is cast together with the others, so its own type says little.
      TensorSpec typed = specs.size() == 1 && complete ? specs.getFirst() : spec;
      String type = column.path("type").asString("");
      if (typed != null && isText(type) != (typed.datatype() == Datatype.BYTES) && !type.isEmpty()) {
        throw fault(
            "column '%s' is %s; %s '%s' of the model is %s"
                .formatted(name(column), type, kind, typed.name(), typed.datatype()));
      }
    }
  }

  private static boolean isText(String type) {
    return type.equals("string") || type.equals("binary");
  }

  private static String name(JsonNode entry) {
    return entry.path("name").asString("");
  }

  private static List<String> names(List<TensorSpec> specs) {
    return specs.stream().map(TensorSpec::name).toList();
  }

  /// NumPy's names; null for one that no tensor has.
  private static @Nullable Datatype datatype(String dtype) {
    return switch (dtype) {
      case "bool" -> Datatype.BOOL;
      case "uint8" -> Datatype.UINT8;
      case "uint16" -> Datatype.UINT16;
      case "uint32" -> Datatype.UINT32;
      case "uint64" -> Datatype.UINT64;
      case "int8" -> Datatype.INT8;
      case "int16" -> Datatype.INT16;
      case "int32" -> Datatype.INT32;
      case "int64" -> Datatype.INT64;
      case "float16" -> Datatype.FP16;
      case "float32" -> Datatype.FP32;
      case "float64" -> Datatype.FP64;
      case "bfloat16" -> Datatype.BF16;
      case "str", "bytes", "object" -> Datatype.BYTES;
      default -> null;
    };
  }

  private ModelLoadException fault(String message) {
    return new ModelLoadException("%s: %s".formatted(at, message));
  }
}
