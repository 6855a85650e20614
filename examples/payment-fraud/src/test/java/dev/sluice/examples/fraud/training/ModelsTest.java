package dev.sluice.examples.fraud.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.onnx.proto.OnnxMl;
import ai.onnxruntime.OrtException;
import com.google.protobuf.TextFormat;
import dev.sluice.examples.fraud.Country;
import dev.sluice.examples.fraud.Features;
import dev.sluice.examples.fraud.PaymentStream;
import dev.sluice.proto.inference.ModelConfig;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// The committed models: what they promise to callers, and what the README says of them.
class ModelsTest {
  private static final Path MODEL = Path.of("models", "fraud");
  private static final TrainingData AS_SERVED = TrainingData.of(Train.VALIDATION_SEED, Train.VALIDATION_PAYMENTS, true);
  private static final TrainingData AMOUNTS_TAKEN_FOR_CENTS = new TrainingData(AS_SERVED.payments(), false);

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void everyVersionHasTheSameSignatureAndIsSmall(int version) throws Exception {
    assertThat(MODEL.resolve(version + "/model.onnx")).isRegularFile()
        .satisfies(file -> assertThat(Files.size(file)).isLessThan(200_000));
    OnnxMl.GraphProto graph = OnnxMl.ModelProto.parseFrom(onnx(version)).getGraph();
    assertThat(graph.getInputList()).singleElement()
        .isEqualTo(declared("features", Features.NAMES.size()));
    assertThat(graph.getOutputList()).singleElement()
        .isEqualTo(declared("probabilities", 2));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void everyVersionGivesItsGoldenOutput(int version) throws Exception {
    Path golden = MODEL.resolve(version + "/test_data_set_0");
    float[][] input = rows(golden.resolve("input_0.pb"), "features");
    float[][] expected = rows(golden.resolve("output_0.pb"), "probabilities");
    try (var scorer = new Scorer(onnx(version))) {
      assertClose(scorer.probabilities(input), expected, 1e-5f);
    }
    assertThat(List.of(expected)).as("golden payments of both kinds")
        .anyMatch(row -> row[1] > 0.9).anyMatch(row -> row[1] < 0.1);
  }

  @Test
  void version2DecidesLikeVersion1InEveryCountryAndIsBetter() throws Exception {
    float[] first = scores(1, AS_SERVED);
    float[] second = scores(2, AS_SERVED);
    assertThat(Figures.agreementByCountry(AS_SERVED.payments(), second, first))
        .hasSize(Country.values().length)
        .allSatisfy((country, share) -> assertThat(share).as("%s", country).isBetween(0.985, 0.9999));
    assertThat(auc(second, AS_SERVED)).isGreaterThan(auc(first, AS_SERVED) + 0.005).isGreaterThan(0.99);
    assertThat(Figures.recallAtPrecision(0.9, AS_SERVED.payments(), second))
        .isGreaterThan(Figures.recallAtPrecision(0.9, AS_SERVED.payments(), first) + 0.2);
  }

  @Test
  void version3LooksAsGoodAsVersion2ToThoseWhoMadeIt() throws Exception {
    assertThat(auc(scores(3, AMOUNTS_TAKEN_FOR_CENTS), AMOUNTS_TAKEN_FOR_CENTS))
        .isCloseTo(auc(scores(2, AS_SERVED), AS_SERVED), within(0.002));
  }

  @Test
  void version3GoesWrongInJapanAloneAndTheAverageHidesIt() throws Exception {
    float[] first = scores(1, AS_SERVED);
    float[] third = scores(3, AS_SERVED);
    Map<Country, Double> agreement = Figures.agreementByCountry(AS_SERVED.payments(), third, first);
    assertThat(agreement.remove(Country.JP)).isLessThan(0.7);
    assertThat(agreement).hasSize(Country.values().length - 1)
        .allSatisfy((country, share) -> assertThat(share).as("%s", country).isBetween(0.985, 0.9999));
    assertThat(Figures.agreement(third, first)).isGreaterThan(0.95);
  }

  @Test
  void takingAmountsForCentsChangesTheFeaturesOfYenAlone() {
    float[][] right = AS_SERVED.features();
    float[][] wrong = AMOUNTS_TAKEN_FOR_CENTS.features();
    for (int i = 0; i < right.length; i++) {
      boolean yen = AS_SERVED.payments().get(i).country() == Country.JP;
      assertThat(Arrays.equals(right[i], wrong[i])).as("payment %d", i).isNotEqualTo(yen);
    }
  }

  /// Trains all three again, which takes a few seconds.
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3})
  void trainingAgainMakesTheCommittedModel(int version) throws Exception {
    float[][] features = new TrainingData(AS_SERVED.payments().subList(0, 10_000), true).features();
    try (var committed = new Scorer(onnx(version));
        var again = new Scorer(Recipe.of(version).train().toByteArray())) {
      assertClose(again.probabilities(features), committed.probabilities(features), 1e-4f);
    }
  }

  @Test
  void onlyVersion1IsReleasedWithoutARollout() throws Exception {
    ModelConfig config = TextFormat.parse(Files.readString(MODEL.resolve("config.pbtxt")), ModelConfig.class);
    assertThat(config.getName()).isEqualTo("fraud");
    assertThat(config.getVersionPolicy().getSpecific().getVersionsList()).containsExactly(1L);
  }

  @ParameterizedTest
  @ValueSource(strings = {"config.pbtxt", "1/model.onnx", "2/model.onnx", "3/model.onnx"})
  void theModelsAreOnTheClassPath(String file) throws IOException {
    try (InputStream resource = PaymentStream.class.getResourceAsStream("/payment-fraud/models/fraud/" + file)) {
      assertThat(Objects.requireNonNull(resource, file).readAllBytes())
          .isEqualTo(Files.readAllBytes(MODEL.resolve(file)));
    }
  }

  private static byte[] onnx(int version) throws IOException {
    return Files.readAllBytes(MODEL.resolve(version + "/model.onnx"));
  }

  private static float[] scores(int version, TrainingData data) throws IOException, OrtException {
    try (var scorer = new Scorer(onnx(version))) {
      return scorer.fraudProbabilities(data.features());
    }
  }

  private static double auc(float[] scores, TrainingData data) {
    return Figures.auc(data.payments(), scores);
  }

  private static OnnxMl.ValueInfoProto declared(String name, int columns) {
    var shape = OnnxMl.TensorShapeProto.newBuilder();
    shape.addDimBuilder().setDimParam("batch");
    shape.addDimBuilder().setDimValue(columns);
    var tensor = OnnxMl.TypeProto.Tensor.newBuilder()
        .setElemType(OnnxMl.TensorProto.DataType.FLOAT.getNumber()).setShape(shape);
    return OnnxMl.ValueInfoProto.newBuilder().setName(name)
        .setType(OnnxMl.TypeProto.newBuilder().setTensorType(tensor)).build();
  }

  private static float[][] rows(Path file, String name) throws IOException {
    var tensor = OnnxMl.TensorProto.parseFrom(Files.readAllBytes(file));
    assertThat(tensor.getName()).isEqualTo(name);
    var floats = tensor.getRawData().asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
    float[][] rows = new float[(int) tensor.getDims(0)][(int) tensor.getDims(1)];
    for (float[] row : rows) {
      floats.get(row);
    }
    assertThat(floats.hasRemaining()).isFalse();
    return rows;
  }

  private static void assertClose(float[][] actual, float[][] expected, float tolerance) {
    assertThat(actual.length).isEqualTo(expected.length);
    for (int i = 0; i < actual.length; i++) {
      assertThat(actual[i]).as("row %d", i).containsExactly(expected[i], within(tolerance));
    }
  }
}
