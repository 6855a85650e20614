package dev.sluice.examples.fraud.training;

import ai.onnx.proto.OnnxMl;
import dev.sluice.examples.fraud.Features;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.IntStream;
import org.tribuo.MutableDataset;
import org.tribuo.ONNXExportable;
import org.tribuo.Trainer;
import org.tribuo.classification.Label;
import org.tribuo.classification.LabelFactory;
import org.tribuo.classification.sgd.fm.FMClassificationTrainer;
import org.tribuo.classification.sgd.linear.LinearSGDTrainer;
import org.tribuo.classification.sgd.objectives.LogMulticlass;
import org.tribuo.impl.ArrayExample;
import org.tribuo.math.optimisers.AdaGrad;
import org.tribuo.provenance.SimpleDataSourceProvenance;

/// How one version of the model is made. Versions 2 and 3 differ in how their pipeline reads amounts, and in nothing
/// else.
record Recipe(int version, Trainer<Label> trainer, boolean amountsInMinorUnits) {
  static final int LATEST = 3;

  private static final long TRAINING_SEED = 1;
  private static final int TRAINING_PAYMENTS = 100_000;
  private static final int EPOCHS = 5;
  private static final Label HONEST = new Label("0");
  private static final Label FRAUD = new Label("1");
  // Held here because a logger that nobody holds may be collected, and its level with it.
  private static final Logger TRIBUO = Logger.getLogger("org.tribuo");

  static Recipe of(int version) {
    return switch (version) {
      case 1 -> new Recipe(1, logisticRegression(), true);
      case 2 -> new Recipe(2, factorizationMachine(), true);
      case 3 -> new Recipe(3, factorizationMachine(), false);
      default -> throw new IllegalArgumentException("version %d: expected 1 to %d".formatted(version, LATEST));
    };
  }

  /// Trains on the seeded stream; the same recipe always makes the same model.
  OnnxMl.ModelProto train() {
    TRIBUO.setLevel(Level.WARNING);
    var model = trainer.train(examples(TrainingData.of(TRAINING_SEED, TRAINING_PAYMENTS, amountsInMinorUnits)));
    if (model.getOutputIDInfo().getID(FRAUD) != Scorer.FRAUD) {
      throw new IllegalStateException("Tribuo put fraud into another column than " + Scorer.FRAUD);
    }
    return OnnxExport.of((ONNXExportable) model, version);
  }

  private static MutableDataset<Label> examples(TrainingData data) {
    // Tribuo orders a model's inputs by the names of the features, so the names here are their places.
    String[] places = IntStream.range(0, Features.NAMES.size()).mapToObj("%02d"::formatted).toArray(String[]::new);
    var labels = new LabelFactory();
    var dataset = new MutableDataset<>(new SimpleDataSourceProvenance("synthetic payments", labels), labels);
    float[][] features = data.features();
    for (int row = 0; row < features.length; row++) {
      var example = new ArrayExample<>(data.payments().get(row).fraud() ? FRAUD : HONEST);
      for (int place = 0; place < places.length; place++) {
        if (features[row][place] != 0) {
          example.add(places[place], features[row][place]);
        }
      }
      dataset.add(example);
    }
    return dataset;
  }

  /// Adds up what each feature says on its own.
  private static Trainer<Label> logisticRegression() {
    return new LinearSGDTrainer(new LogMulticlass(), new AdaGrad(0.1, 0.1), EPOCHS, -1, 32, 1);
  }

  /// Also learns what pairs of features say together.
  private static Trainer<Label> factorizationMachine() {
    // Batches of one: Tribuo 4.3.2 cannot merge the gradients of a larger batch (a ClassCastException in FMParameters).
    return new FMClassificationTrainer(new LogMulticlass(), new AdaGrad(0.1, 0.1), EPOCHS, -1, 1, 1, 6, 0.1);
  }
}
