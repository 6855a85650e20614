package dev.sluice.runtime.repository;

import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelExecutionException.Kind;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// Whether a model computes each row of a batch as if it were alone, so that different callers' rows may share a run.
///
/// Free first dimensions do not tell: a model that centres its input, scales an 8-bit quantisation by the largest value
/// of a tensor, or takes a softmax down the rows has them too, and would answer one caller with a bit of another. So
/// the model is asked: a few rows together, and each row alone. Strings and integers have to be equal, floating-point
/// numbers as near as another order of the same additions leaves them. A difference refutes; equality on rows that were
/// drawn at random is the evidence that can be had without knowing the graph.
final class RowIndependence {
  private static final long SEED = 20_240_607;
  static final long NANOS_MAX = TimeUnit.SECONDS.toNanos(10);
  /// What other free dimensions are set to and below which integers stay, until a model accepts one: sequences want a
  /// few elements, lookups small indices, convolutions an image.
  private static final List<Guess> GUESSES =
      List.of(new Guess(3, 4), new Guess(3, 2), new Guess(1, 2), new Guess(16, 2), new Guess(64, 2));

  private static final int[] BATCHES = {2, 3};

  private record Guess(long free, int integers) {}

  private final Session session;
  private final RunControl control;
  private final List<String> outputs;

  private RowIndependence(Session session, RunControl control) {
    this.session = session;
    this.control = control;
    this.outputs = session.signature().outputs().stream().map(TensorSpec::name).toList();
  }

  /// Why rows may not share a run, in words, or null when they were seen to be independent within this time.
  static @Nullable String doubt(Session session, long nanosMax) {
    String shape = shapeDoubt(session);
    if (shape != null) {
      return shape;
    }
    try (LoadingTime time = new LoadingTime(nanosMax)) {
      RowIndependence test = new RowIndependence(session, time.control());
      String rejected = "";
      for (Guess guess : GUESSES) {
        try {
          return test.doubt(guess);
        } catch (ModelExecutionException e) {
          if (e.kind() == Kind.TERMINATED) {
            return "its runs on invented rows take too long";
          }
          rejected = rejected.isEmpty() ? e.getMessage() : rejected;
        }
      }
      return "it rejects invented rows: " + rejected;
    }
  }

  private static @Nullable String shapeDoubt(Session session) {
    if (required(session).isEmpty()) {
      return "it has no inputs";
    }
    List<TensorSpec> tensors = new ArrayList<>(required(session));
    tensors.addAll(session.signature().outputs());
    for (TensorSpec tensor : tensors) {
      if (!batches(tensor)) {
        return "'%s' has shape %s, which does not begin with a free batch dimension"
            .formatted(tensor.name(), tensor.shape());
      }
    }
    return null;
  }

  /// Whether dimension 0 can be a batch.
  static boolean batches(TensorSpec tensor) {
    return tensor.shape().rank() > 0 && tensor.shape().dim(0) == -1;
  }

  private @Nullable String doubt(Guess guess) throws ModelExecutionException {
    Random random = new Random(SEED);
    for (int rows : BATCHES) {
      List<List<Tensor>> inputsByRow = new ArrayList<>();
      for (int row = 0; row < rows; row++) {
        inputsByRow.add(row(guess, random, row));
      }
      List<Tensor> together = run(stacked(inputsByRow));
      List<List<Tensor>> alone = new ArrayList<>();
      for (List<Tensor> inputs : inputsByRow) {
        alone.add(run(inputs));
      }
      for (int i = 0; i < outputs.size(); i++) {
        int output = i;
        String doubt = difference(together.get(i), alone.stream().map(answer -> answer.get(output)).toList());
        if (doubt != null) {
          return doubt;
        }
      }
    }
    return null;
  }

  private List<Tensor> row(Guess guess, Random random, int row) throws ModelExecutionException {
    List<Tensor> inputs = new ArrayList<>();
    for (TensorSpec spec : required(session)) {
      long[] dims = Samples.sized(spec.shape(), guess.free()).toArray();
      dims[0] = 1;
      Shape shape = Shape.of(dims);
      if (!Samples.fits(spec.datatype(), shape, BATCHES[BATCHES.length - 1])) {
        throw new ModelExecutionException(
            Kind.FAILED, "a row of input '%s' has shape %s, which is too large".formatted(spec.name(), shape));
      }
      inputs.add(Samples.random(spec, shape, random, guess.integers(), row));
    }
    return inputs;
  }

  private static List<TensorSpec> required(Session session) {
    return session.signature().inputs().stream().filter(input -> !input.optional()).toList();
  }

  private static List<Tensor> stacked(List<List<Tensor>> inputsByRow) {
    List<Tensor> stacked = new ArrayList<>();
    for (int i = 0; i < inputsByRow.getFirst().size(); i++) {
      int input = i;
      stacked.add(Samples.stacked(inputsByRow.stream().map(inputs -> inputs.get(input)).toList()));
    }
    return stacked;
  }

  private List<Tensor> run(List<Tensor> inputs) throws ModelExecutionException {
    return session.run(inputs, outputs, control);
  }

  private static @Nullable String difference(Tensor together, List<Tensor> alone) {
    String name = together.name();
    for (Tensor row : alone) {
      long[] expected = row.shape().toArray();
      if (expected.length == 0 || expected[0] != 1) {
        return "output '%s' has shape %s for one row".formatted(name, row.shape());
      }
      expected[0] = alone.size();
      if (!Shape.of(expected).equals(together.shape())) {
        return "output '%s' has shape %s for %d rows and %s for one of them"
            .formatted(name, together.shape(), alone.size(), row.shape());
      }
    }
    boolean same =
        switch (together.datatype()) {
          case FP16 -> near(together, alone, 1e-2, 1e-3);
          case BF16 -> near(together, alone, 5e-2, 1e-2);
          case FP32, FP64 -> near(together, alone, 1e-4, 1e-6);
          case BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, BYTES ->
              together.bytes().equals(Samples.stacked(alone).bytes());
        };
    return same ? null : "output '%s' of a row depends on the other rows of its batch".formatted(name);
  }

  /// `ofTensor` allows for numbers that are what little is left of larger ones.
  private static boolean near(Tensor together, List<Tensor> alone, double ofNumber, double ofTensor) {
    Tensor stacked = Samples.stacked(alone);
    int elements = Math.toIntExact(together.shape().elements());
    double largest = 0;
    for (int i = 0; i < elements; i++) {
      double number = Math.abs(number(stacked, i));
      largest = Double.isFinite(number) ? Math.max(largest, number) : largest;
    }
    for (int i = 0; i < elements; i++) {
      double a = number(together, i);
      double b = number(stacked, i);
      boolean same = Objects.equals(a, b) || a == b;
      double tolerance = ofNumber * Math.max(Math.abs(a), Math.abs(b)) + ofTensor * largest;
      // Written so that a NaN on one side is a difference.
      if (!same && !(Double.isFinite(a) && Double.isFinite(b) && Math.abs(a - b) <= tolerance)) {
        return false;
      }
    }
    return true;
  }

  private static double number(Tensor tensor, int index) {
    ByteBuffer bytes = tensor.bytes();
    return switch (tensor.datatype()) {
      case FP16 -> Float.float16ToFloat(bytes.getShort(index * Short.BYTES));
      case BF16 -> Float.intBitsToFloat(bytes.getShort(index * Short.BYTES) << 16);
      case FP32 -> bytes.getFloat(index * Float.BYTES);
      case FP64 -> bytes.getDouble(index * Double.BYTES);
      case BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, BYTES ->
          throw new IllegalStateException(tensor.datatype() + " is not a floating-point type");
    };
  }
}
