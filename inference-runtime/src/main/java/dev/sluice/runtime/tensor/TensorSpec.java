package dev.sluice.runtime.tensor;

/// What a model says of one of its inputs or outputs; free dimensions of the shape are -1.
///
/// @param optional whether a request may leave the input out; the model has a default for it then
public record TensorSpec(String name, Datatype datatype, Shape shape, boolean optional) {

  /// A tensor that is always there.
  public TensorSpec(String name, Datatype datatype, Shape shape) {
    this(name, datatype, shape, false);
  }
}
