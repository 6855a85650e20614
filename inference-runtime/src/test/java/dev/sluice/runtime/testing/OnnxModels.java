package dev.sluice.runtime.testing;

import static dev.sluice.runtime.testing.OnnxGraph.graph;
import static dev.sluice.runtime.testing.OnnxGraph.number;

import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import java.util.List;

/// Ready-made models, each for one behaviour that a test wants to see.
public final class OnnxModels {
  private OnnxModels() {}

  /// `y = x`, for any datatype and shape.
  public static OnnxGraph identity(Datatype datatype, long... dims) {
    return new OnnxGraph()
        .input("x", datatype, dims)
        .node("Identity", List.of("x"), List.of("y"))
        .output("y", datatype, dims);
  }

  /// `y = a * x + b` over FP32 rows of `[-1, columns]`: versions that differ as much as a test likes.
  public static OnnxGraph linear(float a, float b, long columns) {
    return scaleAndShift(a, b, columns, "y").output("y", Datatype.FP32, -1, columns);
  }

  /// As [#linear], but the run fails when any row begins with a value outside (-2, 1).
  public static OnnxGraph linearThatFailsFromOne(float a, float b, long columns) {
    return scaleAndShift(a, b, columns, "shifted")
        .constant(Tensors.floats("table", Shape.of(1), 0))
        .constant(Tensors.longs("first", Shape.of(), 0))
        .node("Gather", List.of("x", "first"), List.of("heads"), number("axis", 1))
        .node("Cast", List.of("heads"), List.of("indices"), number("to", OnnxGraph.elementType(Datatype.INT64)))
        .node("Gather", List.of("table", "indices"), List.of("zeros"))
        .node("ReduceSum", List.of("zeros"), List.of("zero"), number("keepdims", 0))
        .node("Add", List.of("shifted", "zero"), List.of("y"))
        .output("y", Datatype.FP32, -1, columns);
  }

  /// As [#linear], but each run first counts up to `trips`, at very roughly a microsecond each.
  public static OnnxGraph slowLinear(float a, float b, long columns, long trips) {
    return scaleAndShift(a, b, columns, "shifted")
        .constant(Tensors.longs("trips", Shape.of(), trips))
        .constant(Tensors.bools("yes", Shape.of(), true))
        .constant(Tensors.floats("nothing", Shape.of(1), 0))
        .node("Loop", List.of("trips", "yes", "nothing"), List.of("zero"), graph("body", addEachTime(0)))
        .node("Add", List.of("shifted", "zero"), List.of("y"))
        .output("y", Datatype.FP32, -1, columns);
  }

  /// Adds 1 to `x`, one FP32, as often as the INT64 scalar `trips` says: 0 ends at once, a huge number runs
  /// practically for ever.
  public static OnnxGraph loop() {
    return new OnnxGraph()
        .constant(Tensors.bools("yes", Shape.of(), true))
        .input("trips", Datatype.INT64)
        .input("x", Datatype.FP32, 1)
        .node("Loop", List.of("trips", "yes", "x"), List.of("y"), graph("body", addEachTime(1)))
        .output("y", Datatype.FP32, 1);
  }

  /// `y = table[index]` with a table of three FP32 values: any index out of -3..2 fails at run time.
  public static OnnxGraph gather() {
    return new OnnxGraph()
        .constant(Tensors.floats("table", Shape.of(3), 10, 20, 30))
        .input("index", Datatype.INT64, -1)
        .node("Gather", List.of("table", "index"), List.of("y"))
        .output("y", Datatype.FP32, -1);
  }

  /// A model with an operator that nobody knows.
  public static OnnxGraph unknownOperator() {
    return new OnnxGraph()
        .input("x", Datatype.FP32, 1)
        .node("Frobnicate", List.of("x"), List.of("y"))
        .output("y", Datatype.FP32, 1);
  }

  /// `y = x + w` over FP32 of these dimensions, with the weights `w` in another file.
  public static OnnxGraph externalWeights(String location, long... dims) {
    return new OnnxGraph()
        .externalConstant("w", location, dims)
        .input("x", Datatype.FP32, dims)
        .node("Add", List.of("x", "w"), List.of("y"))
        .output("y", Datatype.FP32, dims);
  }

  private static OnnxGraph scaleAndShift(float a, float b, long columns, String result) {
    return new OnnxGraph()
        .constant(Tensors.floats("a", Shape.of(), a))
        .constant(Tensors.floats("b", Shape.of(), b))
        .input("x", Datatype.FP32, -1, columns)
        .node("Mul", List.of("x", "a"), List.of("scaled"))
        .node("Add", List.of("scaled", "b"), List.of(result));
  }

  private static OnnxGraph addEachTime(float step) {
    return new OnnxGraph()
        .constant(Tensors.floats("step", Shape.of(), step))
        .input("iteration", Datatype.INT64)
        .input("go_on", Datatype.BOOL)
        .input("before", Datatype.FP32, 1)
        .node("Identity", List.of("go_on"), List.of("still"))
        .node("Add", List.of("before", "step"), List.of("after"))
        .output("still", Datatype.BOOL)
        .output("after", Datatype.FP32, 1);
  }
}
