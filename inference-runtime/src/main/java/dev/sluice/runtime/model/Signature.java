package dev.sluice.runtime.model;

import dev.sluice.runtime.tensor.TensorSpec;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/// What a model version takes and returns, in the model's own order.
///
/// Looking a tensor up allocates nothing and takes the same time for a model of one input as for one of hundreds.
public final class Signature {
  private final List<TensorSpec> inputs;
  private final List<TensorSpec> outputs;
  private final List<String> unsupportedOutputs;
  private final int requiredInputs;
  private final int maxBatchSize;
  private final Map<String, TensorSpec> inputsByName;
  private final Map<String, TensorSpec> outputsByName;

  /// `unsupportedOutputs` are those that the protocol cannot carry (sequences, maps, optionals); a `maxBatchSize`
  /// above 0 says that dimension 0 of every tensor is a batch of at most that size.
  public Signature(
      List<TensorSpec> inputs, List<TensorSpec> outputs, List<String> unsupportedOutputs, int maxBatchSize) {
    this.inputs = List.copyOf(inputs);
    this.outputs = List.copyOf(outputs);
    this.unsupportedOutputs = List.copyOf(unsupportedOutputs);
    this.requiredInputs = (int) inputs.stream().filter(input -> !input.optional()).count();
    this.maxBatchSize = maxBatchSize;
    this.inputsByName = byName(this.inputs);
    this.outputsByName = byName(this.outputs);
  }

  public List<TensorSpec> inputs() {
    return inputs;
  }

  public List<TensorSpec> outputs() {
    return outputs;
  }

  public List<String> unsupportedOutputs() {
    return unsupportedOutputs;
  }

  /// How many inputs a request must have; the others it may leave out.
  public int requiredInputs() {
    return requiredInputs;
  }

  public int maxBatchSize() {
    return maxBatchSize;
  }

  public @Nullable TensorSpec input(String name) {
    return inputsByName.get(name);
  }

  public @Nullable TensorSpec output(String name) {
    return outputsByName.get(name);
  }

  /// Whether a caller of the other version could call this one without noticing; the order of tensors does not matter.
  public boolean sameAs(Signature other) {
    return differenceFrom(other) == null;
  }

  /// The first way in which this signature differs from the other one, in words, or null when a caller sees none.
  public @Nullable String differenceFrom(Signature other) {
    String difference = difference("input", inputs, inputsByName, other.inputs, other.inputsByName);
    if (difference == null) {
      difference = difference("output", outputs, outputsByName, other.outputs, other.outputsByName);
    }
    if (difference == null && maxBatchSize != other.maxBatchSize) {
      difference = "max_batch_size is %d instead of %d".formatted(maxBatchSize, other.maxBatchSize);
    }
    return difference;
  }

  private static @Nullable String difference(
      String kind,
      List<TensorSpec> mine,
      Map<String, TensorSpec> mineByName,
      List<TensorSpec> others,
      Map<String, TensorSpec> othersByName) {
    for (TensorSpec other : others) {
      TensorSpec spec = mineByName.get(other.name());
      if (spec == null) {
        return "%s '%s' is missing".formatted(kind, other.name());
      }
      if (spec.datatype() != other.datatype()) {
        return "%s '%s' is %s instead of %s".formatted(kind, spec.name(), spec.datatype(), other.datatype());
      }
      if (!spec.shape().equals(other.shape())) {
        return "%s '%s' has shape %s instead of %s".formatted(kind, spec.name(), spec.shape(), other.shape());
      }
      if (other.optional() && !spec.optional()) {
        return "%s '%s' is required instead of optional".formatted(kind, spec.name());
      }
    }
    for (TensorSpec spec : mine) {
      if (!spec.optional() && !othersByName.containsKey(spec.name())) {
        return "%s '%s' is new".formatted(kind, spec.name());
      }
    }
    return null;
  }

  private static Map<String, TensorSpec> byName(List<TensorSpec> specs) {
    Map<String, TensorSpec> byName = HashMap.newHashMap(specs.size());
    for (TensorSpec spec : specs) {
      if (byName.put(spec.name(), spec) != null) {
        throw new IllegalArgumentException("two tensors are named '%s'".formatted(spec.name()));
      }
    }
    return byName;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Signature that
        && inputs.equals(that.inputs)
        && outputs.equals(that.outputs)
        && unsupportedOutputs.equals(that.unsupportedOutputs)
        && maxBatchSize == that.maxBatchSize;
  }

  @Override
  public int hashCode() {
    return Objects.hash(inputs, outputs, unsupportedOutputs, maxBatchSize);
  }

  @Override
  public String toString() {
    return "Signature[inputs=%s, outputs=%s, unsupportedOutputs=%s, maxBatchSize=%d]"
        .formatted(inputs, outputs, unsupportedOutputs, maxBatchSize);
  }
}
