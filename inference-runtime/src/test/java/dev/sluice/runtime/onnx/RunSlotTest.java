package dev.sluice.runtime.onnx;

import static dev.sluice.runtime.testing.Tensors.floats;
import static dev.sluice.runtime.testing.Tensors.longs;
import static dev.sluice.runtime.testing.Tensors.random;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

/// Native tensors that are kept from run to run must never show in an answer.
@Timeout(60)
class RunSlotTest {
  private static final long SEED = 20261122;
  private static final List<String> Y = List.of("y");

  @TempDir private Path root;

  private final OnnxRuntime runtime = new OnnxRuntime();

  @ParameterizedTest
  @EnumSource(mode = Mode.EXCLUDE, names = "BYTES")
  void eachRunOfTheSameShapeHasItsOwnAnswer(Datatype datatype) throws Exception {
    System.out.println("seed " + SEED);
    Random random = new Random(SEED);
    try (Session session = load(OnnxModels.identity(datatype, -1, 3))) {
      Tensor first = random("x", datatype, Shape.of(1, 3), random);
      Tensor firstAnswer = session.run(List.of(first), Y, RunControl.none()).getFirst();
      // Few bytes, more than a slot copies, and more than a slot answers; shapes in turn.
      for (int run = 0; run < 40; run++) {
        long rows = new long[] {1, 5, 20_000, 200_000}[run % 4];
        Tensor x = random("x", datatype, Shape.of(rows, 3), random);
        Tensor y = session.run(List.of(x), Y, run % 3 == 0 ? RunControl.create() : RunControl.none()).getFirst();
        assertThat(y).isEqualTo(new Tensor("y", datatype, x.shape(), x.bytes()));
      }
      assertThat(firstAnswer).isEqualTo(new Tensor("y", datatype, Shape.of(1, 3), first.bytes()));
    }
  }

  @Test
  void moreShapesThanPlacesDriveEachOtherOut() throws Exception {
    try (Session session = load(OnnxModels.linear(2, 1, 1))) {
      for (int run = 0; run < 500; run++) {
        int rows = 1 + run % 50;
        float[] values = new float[rows];
        float[] expected = new float[rows];
        for (int i = 0; i < rows; i++) {
          values[i] = run + i;
          expected[i] = 2 * values[i] + 1;
        }
        assertThat(session.run(List.of(floats("x", Shape.of(rows, 1), values)), Y, RunControl.none()))
            .containsExactly(floats("y", Shape.of(rows, 1), expected));
      }
    }
  }

  @Test
  void outputsWhoseShapeIsInTheDataAreLeftToTheModel() throws Exception {
    OnnxGraph nonZero =
        new OnnxGraph()
            .input("x", Datatype.FP32, 4)
            .node("NonZero", List.of("x"), List.of("y"))
            .output("y", Datatype.INT64, 1, -1);
    try (Session session = load(nonZero)) {
      assertThat(run(session, floats("x", Shape.of(4), 1, 0, 1, 0))).isEqualTo(longs("y", Shape.of(1, 2), 0, 2));
      assertThat(run(session, floats("x", Shape.of(4), 1, 0, 1, 0))).isEqualTo(longs("y", Shape.of(1, 2), 0, 2));
      assertThat(run(session, floats("x", Shape.of(4), 0, 1, 1, 1))).isEqualTo(longs("y", Shape.of(1, 3), 1, 2, 3));
      assertThat(run(session, floats("x", Shape.of(4), 0, 0, 0, 0)).shape()).isEqualTo(Shape.of(1, 0));
      assertThat(run(session, floats("x", Shape.of(4), 0, 0, 0, 9))).isEqualTo(longs("y", Shape.of(1, 1), 3));
    }
  }

  @Test
  void aConstantAndAnInputAreOutputsLikeOthers() throws Exception {
    OnnxGraph graph =
        new OnnxGraph()
            .constant(floats("c", Shape.of(2), 7, 8))
            .input("x", Datatype.FP32, 2)
            .node("Identity", List.of("x"), List.of("same"))
            .node("Identity", List.of("c"), List.of("y"))
            .output("same", Datatype.FP32, 2)
            .output("y", Datatype.FP32, 2);
    try (Session session = load(graph)) {
      for (int run = 0; run < 5; run++) {
        Tensor x = floats("x", Shape.of(2), run, -run);
        assertThat(session.run(List.of(x), List.of("y", "same"), RunControl.none()))
            .containsExactly(floats("y", Shape.of(2), 7, 8), floats("same", Shape.of(2), run, -run));
      }
      for (int run = 0; run < 5; run++) {
        Tensor x = floats("x", Shape.of(2), run, -run);
        assertThat(session.run(List.of(x), List.of("same"), RunControl.none()))
            .containsExactly(floats("same", Shape.of(2), run, -run));
      }
    }
  }

  /// That one output is written where it is told says nothing of the others.
  @Test
  void anOutputThatIsAnInputIsFoundOutAfterOthersWereProven() throws Exception {
    OnnxGraph graph =
        new OnnxGraph()
            .constant(floats("c", Shape.of(2), 7, 8))
            .input("x", Datatype.FP32, 2)
            .node("Add", List.of("x", "c"), List.of("y"))
            .output("y", Datatype.FP32, 2)
            .output("x", Datatype.FP32, 2);
    try (Session session = load(graph)) {
      for (List<String> wanted : List.of(Y, List.of("x"), List.of("x", "y"), Y)) {
        for (int run = 0; run < 5; run++) {
          Tensor x = floats("x", Shape.of(2), run, -run);
          Tensor y = floats("y", Shape.of(2), run + 7, 8 - run);
          assertThat(session.run(List.of(x), wanted, RunControl.none()))
              .isEqualTo(wanted.stream().map(name -> name.equals("x") ? x : y).toList());
        }
      }
    }
  }

  @Test
  void anOutputThatIsAnInputIsTheInputOfItsOwnRun() throws Exception {
    OnnxGraph graph = new OnnxGraph().input("x", Datatype.FP32, 2).output("x", Datatype.FP32, 2);
    try (Session session = load(graph)) {
      for (int run = 0; run < 5; run++) {
        Tensor x = floats("x", Shape.of(2), run, -run);
        assertThat(session.run(List.of(x), List.of("x"), RunControl.none())).containsExactly(x);
      }
    }
  }

  @Test
  void anInputThatFailsTheModelIsToldEachTimeAndHarmsNoOther() throws Exception {
    try (Session session = load(OnnxModels.gather())) {
      String input = session.signature().inputs().getFirst().name();
      List<String> outputs = List.of(session.signature().outputs().getFirst().name());
      Tensor good = longs(input, Shape.of(1), 0);
      Tensor bad = longs(input, Shape.of(1), 1_000_000);
      List<Tensor> expected = session.run(List.of(good), outputs, RunControl.none());
      for (int run = 0; run < 5; run++) {
        assertThat(session.run(List.of(good), outputs, RunControl.none())).isEqualTo(expected);
        assertThatExceptionOfType(ModelExecutionException.class)
            .isThrownBy(() -> session.run(List.of(bad), outputs, RunControl.none()))
            .satisfies(e -> assertThat(e.kind()).isEqualTo(ModelExecutionException.Kind.FAILED));
      }
    }
  }

  @Test
  void aRunThatWasStoppedStopsNoLaterOne() throws Exception {
    try (Session session = load(OnnxModels.loop())) {
      List<Tensor> five = List.of(longs("trips", Shape.of(), 5), floats("x", Shape.of(1), 0));
      List<Tensor> answer = session.run(five, Y, RunControl.create());
      for (int run = 0; run < 3; run++) {
        RunControl control = RunControl.create();
        Thread stopper = Thread.ofPlatform().start(control::terminate);
        try {
          session.run(
              List.of(longs("trips", Shape.of(), Long.MAX_VALUE), floats("x", Shape.of(1), 0)), Y, control);
        } catch (ModelExecutionException e) {
          assertThat(e.kind()).isEqualTo(ModelExecutionException.Kind.TERMINATED);
        }
        stopper.join();
        assertThat(session.run(five, Y, RunControl.create())).isEqualTo(answer);
        assertThat(session.run(five, Y, RunControl.none())).isEqualTo(answer);
      }
    }
  }

  private static Tensor run(Session session, Tensor x) throws ModelExecutionException {
    return session.run(List.of(x), Y, RunControl.none()).getFirst();
  }

  private Session load(OnnxGraph graph) throws Exception {
    return runtime.load(graph.writeTo(root, "m", 1), ModelSettings.defaults());
  }
}
