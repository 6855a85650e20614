package dev.sluice.gateway.inference;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.TensorDraw;
import dev.sluice.gateway.testing.Wire;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import dev.sluice.runtime.testing.BareOnnxRuntime;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.TensorAssertions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/// Generated models of every type and shape answer over every wire as ONNX Runtime answers by its own binding, in every
/// bit. `-Dsluice.seed=N` draws other models and other values.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class EveryWireTest {

  private static final long SEED = Long.getLong("sluice.seed", 20_261_121L);
  private static final List<Datatype> DATATYPES = List.of(Datatype.values());
  private static final int RANK_MAX = 6;
  private static final int MIXED_MODELS_PER_DATATYPE = 3;
  private static final int MODELS_OF_MANY_TENSORS = 24;

  /// A model as it was generated.
  private record Generated(String name, OnnxGraph graph, List<TensorSpec> inputs, List<String> outputs) {}

  private final Map<String, Generated> models = new LinkedHashMap<>();
  private final Map<String, BareOnnxRuntime> direct = new HashMap<>();

  @SuppressWarnings("NullAway.Init") // before the first test
  private RunningGateway gateway;

  @BeforeAll
  void start(@TempDir Path folder) throws Exception {
    Random random = new Random(SEED);
    for (Datatype datatype : DATATYPES) {
      for (int rank = 0; rank <= RANK_MAX; rank++) {
        identity(free(datatype, rank), datatype, dims(rank, -1));
      }
      for (int i = 0; i < MIXED_MODELS_PER_DATATYPE; i++) {
        long[] dims = dims(1 + random.nextInt(RANK_MAX), -1);
        for (int d = 0; d < dims.length; d++) {
          // Now and then a dimension that is empty in every request.
          dims[d] = random.nextBoolean() ? -1 : random.nextInt(12) == 0 ? 0 : 1 + random.nextInt(3);
        }
        identity("mixed-%s-%d".formatted(datatype, i), datatype, dims);
      }
    }
    for (int rank = 1; rank <= RANK_MAX; rank++) {
      for (int place = 0; place < rank; place++) {
        long[] dims = dims(rank, 2);
        dims[place] = -1;
        Datatype datatype = DATATYPES.get(models.size() % DATATYPES.size());
        identity("one-free-%d-of-%d".formatted(place, rank), datatype, dims);
      }
    }
    for (int i = 0; i < MODELS_OF_MANY_TENSORS; i++) {
      manyTensors("many-" + i, random);
    }

    Path repository = Files.createDirectories(folder.resolve("models"));
    for (Generated model : models.values()) {
      model.graph.writeTo(repository, model.name, 1);
      direct.put(model.name, BareOnnxRuntime.of(model.graph));
    }
    gateway = RunningGateway.start(repository, folder.resolve("data"));
  }

  @AfterAll
  void stop() throws Exception {
    gateway.close();
    for (BareOnnxRuntime runtime : direct.values()) {
      runtime.close();
    }
  }

  // --- what holds over every wire ------------------------------------------------------------------------------------

  @ParameterizedTest
  @EnumSource
  void everyDatatypeOfEveryRankComesBackInEveryBit(Wire wire) throws Exception {
    Random random = new Random(SEED);
    for (Datatype datatype : carried(wire)) {
      for (int rank = 0; rank <= RANK_MAX; rank++) {
        long[] dims = IntStream.range(0, rank).mapToLong(d -> 1 + random.nextInt(4)).toArray();
        assertComesBack(wire, free(datatype, rank), random, Shape.of(dims));
        assertComesBack(wire, free(datatype, rank), random, Shape.of(dims(rank, 1)));
      }
      assertComesBack(wire, free(datatype, 1), random, Shape.of(datatype == Datatype.BYTES ? 300 : 5_000));
    }
  }

  @ParameterizedTest
  @EnumSource
  void aDimensionOfZeroMayStandAnywhere(Wire wire) throws Exception {
    Random random = new Random(SEED);
    for (Datatype datatype : carried(wire)) {
      for (int rank = 1; rank <= RANK_MAX; rank++) {
        for (int place = 0; place < rank; place++) {
          long[] dims = IntStream.range(0, rank).mapToLong(d -> 1 + random.nextInt(4)).toArray();
          dims[place] = 0;
          assertComesBack(wire, free(datatype, rank), random, Shape.of(dims));
        }
        assertComesBack(wire, free(datatype, rank), random, Shape.of(dims(rank, 0)));
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void freeAndFixedDimensionsMayStandAnywhere(Wire wire) throws Exception {
    Random random = new Random(SEED);
    int asked = 0;
    for (Generated model : models.values()) {
      boolean single = model.name.startsWith("mixed-") || model.name.startsWith("one-free-");
      if (single && wire.carries(model.inputs.getFirst().datatype())) {
        for (int i = 0; i < 3; i++) {
          assertComesBack(wire, model.name, random, concrete(model.inputs.getFirst().shape(), random));
          asked++;
        }
      }
    }
    assertThat(asked).isGreaterThan(100);
  }

  @ParameterizedTest
  @EnumSource
  void manyInputsAndOutputsKeepTheirNamesInAnyOrder(Wire wire) throws Exception {
    Random random = new Random(SEED);
    // ONNX Runtime's binding is the judge here, and it does not hand over every string.
    TensorDraw draw = new TensorDraw(random, wire.carriesEveryFloat(), false);
    int asked = 0;
    for (Generated model : models.values()) {
      if (!model.name.startsWith("many-") || !model.inputs.stream().allMatch(spec -> wire.carries(spec.datatype()))) {
        continue;
      }
      for (int i = 0; i < 4; i++) {
        List<Tensor> inputs = new ArrayList<>();
        for (TensorSpec spec : model.inputs) {
          inputs.add(draw.tensor(spec.name(), spec.datatype(), concrete(spec.shape(), random)));
        }
        List<Tensor> all = direct(model.name).run(inputs, model.outputs);
        Collections.shuffle(inputs, random);
        assertAnswers(wire, model.name, inputs, List.of(), all);

        List<String> wanted = new ArrayList<>(model.outputs);
        Collections.shuffle(wanted, random);
        wanted = wanted.subList(0, 1 + random.nextInt(wanted.size()));
        assertAnswers(wire, model.name, inputs, wanted, direct(model.name).run(inputs, wanted));
        asked++;
      }
    }
    assertThat(asked).isGreaterThan(MODELS_OF_MANY_TENSORS / 4);
  }

  // --- how it is held ------------------------------------------------------------------------------------------------

  private void assertComesBack(Wire wire, String model, Random random, Shape shape) throws Exception {
    TensorSpec spec = Objects.requireNonNull(models.get(model), model).inputs.getFirst();
    Tensor x = new TensorDraw(random, wire.carriesEveryFloat(), true).tensor("x", spec.datatype(), shape);
    Tensor y = new Tensor("y", x.datatype(), x.shape(), x.bytes());
    assertAnswers(wire, model, List.of(x), List.of(), List.of(y));
    if (BareOnnxRuntime.isFaithfulTo(x)) {
      assertThat(TensorAssertions.bitDifference(direct(model).run(List.of(x), List.of("y")).getFirst(), y))
          .as("ONNX Runtime itself on %s, seed %d", model, SEED)
          .isNull();
    }
  }

  private void assertAnswers(
      Wire wire, String model, List<Tensor> inputs, List<String> outputs, List<Tensor> expected) {
    String asked = "%s %s%s, seed %d".formatted(
        wire,
        model,
        inputs.stream().map(input -> " %s %s%s".formatted(input.name(), input.datatype(), input.shape())).toList(),
        SEED);
    List<Tensor> answer;
    try {
      answer = wire.infer(gateway, model, inputs, outputs);
    } catch (RuntimeException e) {
      throw new AssertionError(asked + ": " + e.getMessage(), e);
    }
    assertThat(answer).as(asked).hasSameSizeAs(expected);
    for (int i = 0; i < expected.size(); i++) {
      assertThat(TensorAssertions.bitDifference(answer.get(i), expected.get(i))).as(asked).isNull();
    }
  }

  private BareOnnxRuntime direct(String model) {
    return Objects.requireNonNull(direct.get(model), model);
  }

  private static List<Datatype> carried(Wire wire) {
    return DATATYPES.stream().filter(wire::carries).toList();
  }

  private static Shape concrete(Shape shape, Random random) {
    return Shape.of(Arrays.stream(shape.toArray()).map(dim -> dim < 0 ? random.nextInt(4) : dim).toArray());
  }

  // --- models --------------------------------------------------------------------------------------------------------

  private static String free(Datatype datatype, int rank) {
    return "free-%s-%d".formatted(datatype, rank);
  }

  private static long[] dims(int rank, long dim) {
    long[] dims = new long[rank];
    Arrays.fill(dims, dim);
    return dims;
  }

  private void identity(String name, Datatype datatype, long... dims) {
    TensorSpec x = new TensorSpec("x", datatype, Shape.of(dims));
    models.put(name, new Generated(name, OnnxModels.identity(datatype, dims), List.of(x), List.of("y")));
  }

  /// A few inputs, each with one or two things made of it, all of them returned in an order of their own.
  private void manyTensors(String name, Random random) {
    OnnxGraph graph = new OnnxGraph();
    List<TensorSpec> inputs = new ArrayList<>();
    List<Runnable> outputs = new ArrayList<>();
    List<String> names = new ArrayList<>();
    for (int i = 2 + random.nextInt(4); i > 0; i--) {
      Datatype datatype = DATATYPES.get(random.nextInt(DATATYPES.size()));
      long[] dims = dims(random.nextInt(RANK_MAX), -1);
      for (int d = 0; d < dims.length; d++) {
        dims[d] = random.nextBoolean() ? -1 : 1 + random.nextInt(3);
      }
      String input = "in/%d:%s".formatted(i, datatype);
      inputs.add(new TensorSpec(input, datatype, Shape.of(dims)));
      graph.input(input, datatype, dims);
      for (int made = 1 + random.nextInt(2); made > 0; made--) {
        String output = "out %d.%d".formatted(made, i);
        outputs.add(() -> {
          names.add(output);
          make(graph, input, output, datatype, dims, random);
        });
      }
    }
    Collections.shuffle(outputs, random);
    outputs.forEach(Runnable::run);
    models.put(name, new Generated(name, graph, inputs, List.copyOf(names)));
  }

  private static void make(
      OnnxGraph graph, String input, String output, Datatype datatype, long[] dims, Random random) {
    int rank = dims.length;
    switch (random.nextInt(rank == 0 ? 2 : 4)) {
      case 0 -> graph.node("Identity", List.of(input), List.of(output)).output(output, datatype, dims);
      case 1 -> graph.node("Shape", List.of(input), List.of(output)).output(output, Datatype.INT64, rank);
      case 2 -> {
        List<Integer> order = new ArrayList<>(IntStream.range(0, rank).boxed().toList());
        Collections.shuffle(order, random);
        long[] permuted = order.stream().mapToLong(d -> dims[d]).toArray();
        OnnxGraph.Attribute perm = OnnxGraph.numbers("perm", order.stream().mapToLong(d -> d).toArray());
        graph.node("Transpose", List.of(input), List.of(output), perm).output(output, datatype, permuted);
      }
      default -> {
        int axis = random.nextInt(rank);
        long[] doubled = dims.clone();
        doubled[axis] = dims[axis] < 0 ? -1 : 2 * dims[axis];
        graph.node("Concat", List.of(input, input), List.of(output), OnnxGraph.number("axis", axis))
            .output(output, datatype, doubled);
      }
    }
  }
}
