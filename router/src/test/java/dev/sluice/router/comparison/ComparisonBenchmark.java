package dev.sluice.router.comparison;

import dev.sluice.router.comparison.Numbers.Element;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/// What one comparison of an output of a thousand floats costs, off the heap as a runtime's answers are.
///
/// Before measuring, every comparison and three datatypes have run, so that nothing is compiled for one of them alone.
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 5, time = 400, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 5, time = 400, timeUnit = TimeUnit.MILLISECONDS)
@Fork(1)
public class ComparisonBenchmark {

  private static final int ELEMENTS = 1_000;

  private static final Map<String, Comparison> COMPARISONS =
      Map.ofEntries(
          Map.entry("numeric", new Comparison.Numeric(1e-3, 1e-3)),
          Map.entry("ulp", new Comparison.Ulp(1 << 20)),
          Map.entry("top1", new Comparison.TopOne()),
          Map.entry("topk5", new Comparison.TopK(5, 0.5)),
          Map.entry("threshold", new Comparison.Threshold(0.5, -1)),
          Map.entry("rank", new Comparison.RankCorrelation(0.5)),
          Map.entry("cosine", new Comparison.Cosine(0.01)),
          Map.entry("kl", new Comparison.KullbackLeibler(0.1)),
          Map.entry("js", new Comparison.JensenShannon(0.1)),
          Map.entry("boxes", new Comparison.Boxes(0.5, Comparison.Boxes.Format.XYWH)),
          Map.entry("exact", new Comparison.Exact()));

  @Param({"numeric", "ulp", "top1", "topk5", "threshold", "rank", "cosine", "kl", "js", "boxes", "exact"})
  String comparison = "";

  /// `near`: each element within a thousandth, as two builds of one model are. `far`: nothing in common.
  @Param({"near", "far"})
  String answers = "";

  private final Workbench bench = new Workbench();
  private Comparison how = new Comparison.Exact();
  private int rowLength;
  private ByteBuffer baseline = ByteBuffer.allocate(0);
  private ByteBuffer candidate = ByteBuffer.allocate(0);

  @Setup
  public void prepare() {
    SplittableRandom random = new SplittableRandom(11);
    baseline = floats();
    candidate = floats();
    for (int i = 0; i < ELEMENTS; i++) {
      float value = (float) random.nextDouble(0.01, 1);
      float other = answers.equals("near") ? value * (float) random.nextDouble(0.999, 1.001) : (float) random.nextDouble(0.01, 1);
      baseline.putFloat(i * Float.BYTES, value);
      candidate.putFloat(i * Float.BYTES, other);
    }
    for (Element element : List.of(Element.FP32, Element.FP64, Element.INT32)) {
      for (int round = 0; round < 2_000; round++) {
        COMPARISONS.values().forEach(each -> compare(each, element, each instanceof Comparison.Boxes ? 4 : 50));
      }
    }
    how = COMPARISONS.getOrDefault(comparison, how);
    rowLength = how instanceof Comparison.Boxes ? 4 : ELEMENTS;
  }

  private static ByteBuffer floats() {
    return ByteBuffer.allocateDirect(ELEMENTS * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
  }

  private Disagreement compare(Comparison how, Element element, int rowLength) {
    bench.baseline().view(element, baseline);
    bench.candidate().view(element, candidate);
    how.compare(bench, rowLength);
    return bench.take();
  }

  /// Without the record that is made of what was found: what a comparison by itself costs.
  @Benchmark
  public Workbench compare() {
    bench.baseline().view(Element.FP32, baseline);
    bench.candidate().view(Element.FP32, candidate);
    how.compare(bench, rowLength);
    return bench;
  }

  /// With it.
  @Benchmark
  public Disagreement compareAndTake() {
    return compare(how, Element.FP32, rowLength);
  }
}
