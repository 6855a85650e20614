package dev.sluice.runtime.repository;

import static dev.sluice.runtime.testing.OnnxGraph.number;
import static dev.sluice.runtime.testing.OnnxGraph.numbers;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

@Timeout(60)
class RowIndependenceTest {
  private static final String DEPENDS = "output 'y' of a row depends on the other rows of its batch";

  @TempDir private Path root;

  @ParameterizedTest
  @EnumSource(Datatype.class)
  void rowsOfEveryDatatypeThatAreOnlyPassedOnAreIndependent(Datatype datatype) throws Exception {
    assertThat(doubt(OnnxModels.identity(datatype, -1, 3))).isNull();
    assertThat(doubt(OnnxModels.identity(datatype, -1))).isNull();
    assertThat(doubt(OnnxModels.identity(datatype, -1, -1, 2))).isNull();
  }

  /// A matrix product adds in another order for one row than for many.
  @Test
  void roundingIsNoDependence() throws Exception {
    int size = 300;
    float[] weights = new float[size * size];
    IntStream.range(0, weights.length).forEach(i -> weights[i] = (float) Math.sin(i));
    assertThat(
            doubt(
                new OnnxGraph()
                    .constant(Tensors.floats("w", Shape.of(size, size), weights))
                    .input("x", Datatype.FP32, -1, size)
                    .node("MatMul", List.of("x", "w"), List.of("y"))
                    .output("y", Datatype.FP32, -1, size)))
        .isNull();
  }

  @Test
  void anIndexThatMustBeSmallIsFound() throws Exception {
    assertThat(doubt(OnnxModels.gather())).isNull();
    assertThat(doubt(lookup(2))).isNull();
  }

  @Test
  void aModelThatRejectsWhatIsInventedIsNotBatched() throws Exception {
    assertThat(doubt(lookup(1))).startsWith("it rejects invented rows: ").contains("indices element out of data bounds");
  }

  @Test
  void aModelThatMixesItsRowsIsFoundOut() throws Exception {
    assertThat(doubt(over("ReduceMean", "Sub"))).isEqualTo(DEPENDS);
    assertThat(doubt(over("ReduceMax", "Div"))).isEqualTo(DEPENDS);
    assertThat(
            doubt(
                new OnnxGraph()
                    .input("x", Datatype.FP32, -1, 3)
                    .node("Softmax", List.of("x"), List.of("y"), number("axis", 0))
                    .output("y", Datatype.FP32, -1, 3)))
        .isEqualTo(DEPENDS);
    assertThat(
            doubt(
                new OnnxGraph()
                    .constant(Tensors.longs("axis", Shape.of(), 0))
                    .input("x", Datatype.INT64, -1)
                    .node("CumSum", List.of("x", "axis"), List.of("y"))
                    .output("y", Datatype.INT64, -1)))
        .isEqualTo(DEPENDS);
  }

  /// The scale comes from the largest value of the whole tensor, whoever sent it: other callers' rows move an answer by
  /// less than a percent, and nobody would ever find out why.
  @Test
  void aDynamicQuantisationIsFoundOut() throws Exception {
    assertThat(
            doubt(
                new OnnxGraph()
                    .input("x", Datatype.FP32, -1, 8)
                    .node("DynamicQuantizeLinear", List.of("x"), List.of("q", "scale", "zero"))
                    .node("DequantizeLinear", List.of("q", "scale", "zero"), List.of("y"))
                    .output("y", Datatype.FP32, -1, 8)))
        .isEqualTo(DEPENDS);
  }

  @Test
  void aModelThatThrowsDiceIsNotBatched() throws Exception {
    assertThat(
            doubt(
                new OnnxGraph()
                    .input("x", Datatype.FP32, -1, 3)
                    .node("RandomNormalLike", List.of("x"), List.of("y"))
                    .output("y", Datatype.FP32, -1, 3)))
        .isEqualTo(DEPENDS);
  }

  @Test
  void outputsMustHaveTheRowsOfTheBatch() throws Exception {
    assertThat(
            doubt(
                new OnnxGraph()
                    .input("x", Datatype.FP32, -1, 3)
                    .node("Concat", List.of("x", "x"), List.of("y"), number("axis", 0))
                    .output("y", Datatype.FP32, -1, 3)))
        .isEqualTo("output 'y' has shape [2, 3] for one row");
    assertThat(
            doubt(
                new OnnxGraph()
                    .input("x", Datatype.FP32, -1, 3)
                    .node("Transpose", List.of("x"), List.of("t"), numbers("perm", 1, 0))
                    .node("MatMul", List.of("x", "t"), List.of("y"))
                    .output("y", Datatype.FP32, -1, -1)))
        .isEqualTo("output 'y' has shape [2, 2] for 2 rows and [1, 1] for one of them");
  }

  @Test
  void everyTensorNeedsAFreeFirstDimension() throws Exception {
    assertThat(doubt(OnnxModels.loop()))
        .isEqualTo("'trips' has shape [], which does not begin with a free batch dimension");
    assertThat(doubt(OnnxModels.identity(Datatype.FP32, 1, 3)))
        .isEqualTo("'x' has shape [1, 3], which does not begin with a free batch dimension");
    assertThat(
            doubt(
                new OnnxGraph()
                    .constant(Tensors.floats("c", Shape.of(1), 1))
                    .node("Identity", List.of("c"), List.of("y"))
                    .output("y", Datatype.FP32, -1)))
        .isEqualTo("it has no inputs");
  }

  @Test
  void aModelThatNeverEndsIsNotWaitedFor() throws Exception {
    OnnxGraph endless = OnnxModels.slowLinear(1, 0, 2, Long.MAX_VALUE);
    try (Session session = session(endless)) {
      assertThat(RowIndependence.doubt(session, TimeUnit.MILLISECONDS.toNanos(200)))
          .isEqualTo("its runs on invented rows take too long");
    }
  }

  private @Nullable String doubt(OnnxGraph graph) throws Exception {
    try (Session session = session(graph)) {
      return RowIndependence.doubt(session, RowIndependence.NANOS_MAX);
    }
  }

  private Session session(OnnxGraph graph) throws Exception {
    return new OnnxRuntime().load(graph.writeTo(root, "m", 1), ModelSettings.defaults());
  }

  /// `y = table[x]` for a table of so many entries.
  private static OnnxGraph lookup(int entries) {
    return new OnnxGraph()
        .constant(Tensors.floats("table", Shape.of(entries), new float[entries]))
        .input("x", Datatype.INT64, -1, -1)
        .node("Gather", List.of("table", "x"), List.of("y"))
        .output("y", Datatype.FP32, -1, -1);
  }

  /// `y = operator(x, reduction(x over all rows))`.
  private static OnnxGraph over(String reduction, String operator) {
    return new OnnxGraph()
        .constant(Tensors.longs("rows", Shape.of(1), 0))
        .input("x", Datatype.FP32, -1, 3)
        .node(reduction, List.of("x", "rows"), List.of("reduced"))
        .node(operator, List.of("x", "reduced"), List.of("y"))
        .output("y", Datatype.FP32, -1, 3);
  }
}
