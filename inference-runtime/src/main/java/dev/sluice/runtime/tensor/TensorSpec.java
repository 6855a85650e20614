package dev.sluice.runtime.tensor;

/// What a model says of one of its inputs or outputs; free dimensions of the shape are -1.
public record TensorSpec(String name, Datatype datatype, Shape shape) {}
