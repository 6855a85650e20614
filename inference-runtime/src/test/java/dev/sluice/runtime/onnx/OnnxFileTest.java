package dev.sluice.runtime.onnx;

import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.google.protobuf.CodedOutputStream;
import com.google.protobuf.WireFormat;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class OnnxFileTest {
  private static final long SEED = 20261121;

  @TempDir private Path root;

  private Path version;

  @BeforeEach
  void layOut() throws IOException {
    version = Files.createDirectories(root.resolve("m/1"));
    Files.write(root.resolve("secret"), new byte[8]);
  }

  @Test
  void weightsBesideTheModelAreLoaded() throws Exception {
    assertAnswersWithWeights("w.bin", version);
    assertAnswersWithWeights("data/w.bin", version);
    assertAnswersWithWeights("./w.bin", version);
  }

  @Test
  void aModelInAFolderOfItsOwnIsLoadedWithItsWeights() throws Exception {
    Path folder = Files.createDirectories(version.resolve("model.onnx"));
    assertAnswersWithWeights("w.bin", folder);
  }

  @Test
  void aLinkThatStaysInTheFolderIsFollowed() throws Exception {
    write(version.resolve("real.bin"), 10, 20);
    Files.createSymbolicLink(version.resolve("w.bin"), Path.of("real.bin"));
    Files.write(version.resolve("model.onnx"), OnnxModels.externalWeights("w.bin", 2).model());
    OnnxFile.check(version.resolve("model.onnx"), "m/1/model.onnx");
  }

  @ParameterizedTest
  @CsvSource(
      textBlock =
          """
          /etc/passwd        | is not a relative path
          C:\\windows\\x     | is not a relative path
          C:x                | is not a relative path
          data\\..\\w.bin    | is not a relative path
          ''                 | is not a relative path
          ../../secret       | leaves the model's folder
          data/../../x       | leaves the model's folder
          missing.bin        | does not exist
          */_ORT_MEM_ADDR_/* | does not exist
          data               | is not a regular file
          link.bin           | is a link that leaves the model's folder
          linked/secret      | is a link that leaves the model's folder
          hard.bin           | has more than one hard link
          """,
      delimiter = '|')
  void weightsElsewhereAreRefused(String location, String fault) throws Exception {
    Files.createDirectory(version.resolve("data"));
    Files.createSymbolicLink(version.resolve("link.bin"), root.resolve("secret"));
    Files.createSymbolicLink(version.resolve("linked"), root);
    Files.createLink(version.resolve("hard.bin"), root.resolve("secret"));
    assertRefused(
        OnnxModels.externalWeights(location, 2).model(),
        "m/1/model.onnx: tensor 'w' has its data at '%s', which %s".formatted(location, fault));
  }

  @Test
  void aLocationWithANulByteIsNoPath() throws Exception {
    assertRefused(OnnxModels.externalWeights("a\0b", 2).model(), "which is not a path");
  }

  static Stream<Function<OnnxGraph, byte[]>> hidingPlaces() {
    OnnxGraph.Attribute tensor = OnnxGraph.externalTensor("value", "w", "../../secret", 2);
    return Stream.of(
        graph -> graph.externalConstant("w", "../../secret", 2).model(),
        graph -> graph.externalSparseConstant("w", "../../secret", 2).model(),
        graph -> graph.node("Constant", List.of(), List.of("c"), tensor).model(),
        graph ->
            graph
                .node("X", List.of(), List.of("c"), OnnxGraph.externalTensors("values", "w", "../../secret", 2))
                .model(),
        graph ->
            graph
                .node("If", List.of(), List.of("c"), OnnxGraph.graph("then_branch", branch()))
                .model(),
        graph -> graph.node("X", List.of(), List.of("c"), OnnxGraph.graphs("branches", branch())).model(),
        graph ->
            graph
                .node(
                    "If",
                    List.of(),
                    List.of("c"),
                    OnnxGraph.graph(
                        "then_branch",
                        new OnnxGraph().node("If", List.of(), List.of("c"), OnnxGraph.graph("else_branch", branch()))))
                .model(),
        graph -> graph.modelWithFunction(tensor));
  }

  @ParameterizedTest
  @MethodSource("hidingPlaces")
  void noTensorHidesFromTheCheck(Function<OnnxGraph, byte[]> hide) throws Exception {
    assertRefused(
        hide.apply(OnnxModels.identity(Datatype.FP32, 2)),
        "tensor 'w' has its data at '../../secret', which leaves the model's folder");
  }

  @Test
  void aGraphNestedForEverIsRefused() throws Exception {
    OnnxGraph graph = new OnnxGraph();
    for (int depth = 0; depth < 200; depth++) {
      graph = new OnnxGraph().node("If", List.of(), List.of("c"), OnnxGraph.graph("then_branch", graph));
    }
    assertRefused(graph.model(), "m/1/model.onnx nests its graphs deeper than 100 messages");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "not a model at all", "\0\0\0\0", "<html><body>404</body></html>"})
  void whatIsNoModelIsRefused(String content) throws Exception {
    assertRefused(content.getBytes(StandardCharsets.UTF_8), "m/1/model.onnx is ");
  }

  @Test
  void aModelCutAnywhereIsRefusedOrWhole() throws Exception {
    byte[] whole = OnnxModels.linear(2, 1, 3).model();
    int refused = 0;
    for (int length = 0; length < whole.length; length++) {
      refused += loads(Arrays.copyOf(whole, length)) ? 0 : 1;
    }
    // All cuts but the one that takes nothing but the opset list, which may come last.
    assertThat(refused).isGreaterThanOrEqualTo(whole.length - 1);
    assertThat(loads(whole)).isTrue();
  }

  @Test
  void truncatedWeightsAreNotSkippedPastTheEnd() throws Exception {
    OnnxGraph graph =
        new OnnxGraph().constant(floats("w", Shape.of(100_000), new float[100_000])).input("x", Datatype.FP32, 1);
    byte[] whole = graph.model();
    assertRefused(Arrays.copyOf(whole, whole.length / 2), "m/1/model.onnx is corrupt or not an ONNX model");
  }

  @Test
  void flippedBitsNeverHurtTheProcess() throws Exception {
    System.out.println("seed " + SEED);
    Random random = new Random(SEED);
    byte[] whole = OnnxModels.loop().model();
    int refused = 0;
    for (int round = 0; round < 300; round++) {
      byte[] damaged = whole.clone();
      for (int flips = 1 + random.nextInt(4); flips > 0; flips--) {
        damaged[random.nextInt(damaged.length)] ^= (byte) (1 << random.nextInt(8));
      }
      refused += loads(damaged) ? 0 : 1;
    }
    System.out.println(refused + " of 300 damaged models were refused");
    assertThat(refused).isPositive();
  }

  @Test
  void aHugeFileIsWalkedWithoutBeingRead() throws Exception {
    // A gigabyte that is not on the disk either: one initialiser whose raw data is a hole in the file.
    int hole = 1 << 30;
    Path file = version.resolve("model.onnx");
    byte[] rawData = head(9, hole);
    byte[] initializer = head(5, rawData.length + hole);
    byte[] graph = head(7, initializer.length + rawData.length + hole);
    try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
      out.write(graph);
      out.write(initializer);
      out.write(rawData);
      out.setLength(out.getFilePointer() + hole);
    }
    assertThat(OnnxFile.check(file, "m/1/model.onnx").outputs()).isEmpty();
    try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
      out.setLength(out.length() - 1);
    }
    assertThatExceptionOfType(ModelLoadException.class).isThrownBy(() -> OnnxFile.check(file, "m/1/model.onnx"));
    try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
      out.setLength(1L << 32);
    }
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> OnnxFile.check(file, "m/1/model.onnx"))
        .withMessageContaining("more than the 2 GiB of a protobuf file");
  }

  private static OnnxGraph branch() {
    return new OnnxGraph().externalConstant("w", "../../secret", 2);
  }

  private void assertAnswersWithWeights(String location, Path folder) throws Exception {
    Path weights = folder.resolve(location);
    Files.createDirectories(weights.getParent());
    write(weights, 10, 20);
    Files.write(folder.resolve("model.onnx"), OnnxModels.externalWeights(location, 2).model());
    try (Session session = new OnnxRuntime().load(version, ModelSettings.defaults())) {
      assertThat(session.run(List.of(floats("x", Shape.of(2), 1, 2)), List.of("y"), RunControl.none()))
          .containsExactly(floats("y", Shape.of(2), 11, 22));
    }
  }

  private boolean loads(byte[] bytes) throws IOException {
    try {
      new OnnxRuntime().load(OnnxGraph.write(root, "m", 1, bytes), ModelSettings.defaults()).close();
      return true;
    } catch (ModelLoadException e) {
      assertThat(e.getMessage()).startsWith("m/1/model.onnx").doesNotContain(root.toString()).doesNotContain("\n");
      return false;
    }
  }

  private void assertRefused(byte[] model, String message) throws IOException {
    OnnxGraph.write(root, "m", 1, model);
    assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(() -> OnnxFile.check(version.resolve("model.onnx"), "m/1/model.onnx"))
        .withMessageContaining(message);
  }

  private static void write(Path file, float... values) throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    Files.write(file, bytes.array());
  }

  /// What precedes a length-delimited field of this many bytes.
  private static byte[] head(int field, int length) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    CodedOutputStream out = CodedOutputStream.newInstance(bytes);
    out.writeTag(field, WireFormat.WIRETYPE_LENGTH_DELIMITED);
    out.writeUInt32NoTag(length);
    out.flush();
    return bytes.toByteArray();
  }
}
