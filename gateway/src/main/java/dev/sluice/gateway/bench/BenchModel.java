package dev.sluice.gateway.bench;

import dev.sluice.loadtest.traffic.RequestForm;
import dev.sluice.proto.inference.ModelMetadataResponse;
import dev.sluice.proto.inference.ModelMetadataResponse.TensorMetadata;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/// The models that are served: seeded random weights, one FP32 input `x` and one FP32 output `y` of rows.
///
/// Version 2 is version 1 with each weight moved by a millionth: a healthy candidate.
enum BenchModel {
  /// A network of 32-64-32-1 neurons: microseconds, so that all else shows.
  TINY("tiny", 32, 1, ""),
  /// A network of 256-512-512-10 neurons: worth batching.
  MEDIUM("medium", 256, 10, "max_batch_size: 32\ndynamic_batching { }\n"),
  /// The mean of 150 kB of numbers: all the work is in bringing them there.
  LARGE("large", 3 * 112 * 112, 1, ""),
  /// Convolutions, about 5 ms of one core; not batched, since that would gain nothing.
  SLOW("slow", 256, 1, "max_batch_size: 0\n");

  static final String INPUT = "x";
  static final String OUTPUT = "y";

  /// What a run of [#SLOW] is to take.
  static final double SLOW_MICROS = 5_000;

  private static final int CHANNELS = 64;

  private final String text;
  private final int inputColumns;
  private final int outputColumns;
  private final String config;

  BenchModel(String text, int inputColumns, int outputColumns, String config) {
    this.text = text;
    this.inputColumns = inputColumns;
    this.outputColumns = outputColumns;
    this.config = config;
  }

  /// The model's name in the repository.
  String text() {
    return text;
  }

  int inputColumns() {
    return inputColumns;
  }

  int outputColumns() {
    return outputColumns;
  }

  /// A round of fewer and longer requests has to be longer.
  int roundFactor() {
    return this == SLOW ? 2 : 1;
  }

  static Path file(Path repository, BenchModel model, int version) {
    return repository.resolve(model.text).resolve(Integer.toString(version)).resolve("model.onnx");
  }

  /// Writes versions 1 and 2 below a repository's folder. Version 1 is the one that is served unless a rollout says
  /// otherwise.
  ///
  /// @param slowLayers how many convolutions [#SLOW] has
  void write(Path repository, long seed, int slowLayers) throws IOException {
    for (int version = 1; version <= 2; version++) {
      Path file = file(repository, this, version);
      Files.createDirectories(file.getParent());
      Files.write(file, graph(new Weights(seed + text.hashCode(), version == 1 ? 0 : 1e-6f), slowLayers).model());
    }
    Files.writeString(
        repository.resolve(text).resolve("config.pbtxt"),
        config + "version_policy: { specific: { versions: [1] } }\n");
  }

  /// Seeded random requests of one row.
  List<byte[]> requests(long seed) {
    ModelMetadataResponse metadata =
        ModelMetadataResponse.newBuilder()
            .setName(text)
            .addInputs(TensorMetadata.newBuilder().setName(INPUT).setDatatype("FP32").addShape(-1).addShape(inputColumns))
            .build();
    return RequestForm.of(text, "", metadata, 1, Map.of()).generate(seed);
  }

  private OnnxWriter graph(Weights weights, int slowLayers) {
    OnnxWriter graph = new OnnxWriter().input(INPUT, inputColumns).output(OUTPUT, outputColumns);
    switch (this) {
      case TINY -> dense(graph, weights, 32, 64, 32, 1);
      case MEDIUM -> dense(graph, weights, 256, 512, 512, 10);
      case LARGE -> graph.constant("axes", 1).node("ReduceMean", List.of(INPUT, "axes"), OUTPUT);
      case SLOW -> convolutions(graph, weights, slowLayers);
    }
    return graph;
  }

  private static void dense(OnnxWriter graph, Weights weights, int... widths) {
    String before = INPUT;
    for (int layer = 1; layer < widths.length; layer++) {
      int in = widths[layer - 1];
      int out = widths[layer];
      boolean last = layer == widths.length - 1;
      graph.constant("w" + layer, weights.draw(in * out, Math.sqrt(2.0 / in)), in, out);
      graph.constant("b" + layer, weights.draw(out, 0.1), out);
      graph.node("Gemm", List.of(before, "w" + layer, "b" + layer), last ? OUTPUT : "h" + layer);
      if (!last) {
        graph.node("Relu", List.of("h" + layer), "r" + layer);
        before = "r" + layer;
      }
    }
  }

  /// On pictures of 16 x 16; every layer has the same weights, so that the processor's cache holds them.
  private static void convolutions(OnnxWriter graph, Weights weights, int layers) {
    var same = OnnxWriter.Attribute.numbers("pads", 1, 1, 1, 1);
    graph.constant("picture", -1, 1, 16, 16)
        .constant("first", weights.draw(CHANNELS * 9, 1.0 / 3), CHANNELS, 1, 3, 3)
        .constant("each", weights.draw(CHANNELS * CHANNELS * 9, Math.sqrt(1.0 / (CHANNELS * 9))), CHANNELS, CHANNELS, 3, 3)
        .node("Reshape", List.of(INPUT, "picture"), "p")
        .node("Conv", List.of("p", "first"), "c0", same);
    for (int layer = 1; layer <= layers; layer++) {
      graph.node("Conv", List.of("c" + (layer - 1), "each"), "d" + layer, same)
          .node("Tanh", List.of("d" + layer), "c" + layer);
    }
    graph.constant("rest", 1, 2, 3).node("ReduceMean", List.of("c" + layers, "rest"), "mean").constant("row", -1, 1)
        .node("Reshape", List.of("mean", "row"), OUTPUT);
  }

  /// Normal weights from a seed, each moved by a share of itself.
  private static final class Weights {
    private final SplittableRandom random;
    private final float moved;

    Weights(long seed, float moved) {
      this.random = new SplittableRandom(seed);
      this.moved = moved;
    }

    float[] draw(int count, double deviation) {
      var values = new float[count];
      for (int i = 0; i < count; i++) {
        values[i] = (float) (random.nextGaussian() * deviation) * (1 + moved);
      }
      return values;
    }
  }
}
