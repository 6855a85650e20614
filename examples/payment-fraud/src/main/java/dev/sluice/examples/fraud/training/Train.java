package dev.sluice.examples.fraud.training;

import ai.onnxruntime.OrtException;
import com.google.protobuf.MessageLite;
import dev.sluice.examples.fraud.Payment;
import dev.sluice.examples.fraud.PaymentStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.LongStream;
import java.util.stream.Stream;

/// Trains every version, writes its `model.onnx` with golden inputs and outputs, and prints its figures.
public final class Train {
  static final long VALIDATION_SEED = 2;
  static final int VALIDATION_PAYMENTS = 100_000;
  private static final long GOLDEN_SEED = 3;

  private Train() {}

  public static void main(String[] args) throws IOException, OrtException {
    if (args.length != 1) {
      System.err.println("expected one argument, the model's directory (models/fraud), but got " + args.length);
      System.exit(2);
    }
    var asServed = TrainingData.of(VALIDATION_SEED, VALIDATION_PAYMENTS, true);
    var golden = new TrainingData(goldenPayments(), true);
    float[] baseline = {};
    for (int version = 1; version <= Recipe.LATEST; version++) {
      Recipe recipe = Recipe.of(version);
      Path directory = Path.of(args[0], Integer.toString(version));
      byte[] onnx = write(directory.resolve("model.onnx"), recipe.train());
      try (var scorer = new Scorer(onnx)) {
        Path goldenDirectory = directory.resolve("test_data_set_0");
        write(goldenDirectory.resolve("input_0.pb"), OnnxExport.tensor(Scorer.INPUT, golden.features()));
        write(goldenDirectory.resolve("output_0.pb"),
            OnnxExport.tensor(Scorer.OUTPUT, scorer.probabilities(golden.features())));

        var asValidated = new TrainingData(asServed.payments(), recipe.amountsInMinorUnits());
        float[] scores = scorer.fraudProbabilities(asServed.features());
        baseline = version == 1 ? scores : baseline;
        print("version " + version + " as validated", asValidated, scorer.fraudProbabilities(asValidated.features()));
        print("version " + version + " as served", asServed, scores);
        System.out.printf("  same decision as version 1: %.2f %%, by country",
            100 * Figures.agreement(scores, baseline));
        Figures.agreementByCountry(asServed.payments(), scores, baseline)
            .forEach((country, share) -> System.out.printf(" %s %.2f %%", country, 100 * share));
        System.out.println();
      }
    }
  }

  private static void print(String title, TrainingData data, float[] scores) {
    System.out.printf("%s: AUC %.4f, recall at 90 %% precision %.3f%n", title,
        Figures.auc(data.payments(), scores), Figures.recallAtPrecision(0.9, data.payments(), scores));
  }

  /// Honest payments alone would show next to nothing: all their scores are near zero.
  private static List<Payment> goldenPayments() {
    var stream = new PaymentStream(GOLDEN_SEED);
    return Stream.of(false, true)
        .flatMap(fraud -> LongStream.range(0, 10_000).mapToObj(stream::payment)
            .filter(payment -> payment.fraud() == fraud).limit(32))
        .toList();
  }

  private static byte[] write(Path file, MessageLite message) throws IOException {
    Files.createDirectories(file.toAbsolutePath().getParent());
    byte[] bytes = message.toByteArray();
    Files.write(file, bytes);
    return bytes;
  }
}
