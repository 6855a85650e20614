package dev.sluice.examples.fraud.training;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.util.Map;

/// One version of the model in ONNX Runtime, with the names that its callers use.
final class Scorer implements AutoCloseable {
  static final String INPUT = "features";
  static final String OUTPUT = "probabilities";
  /// The column of the output that holds the probability of fraud; column 0 holds that of an honest payment.
  static final int FRAUD = 1;

  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final OrtSession session;

  Scorer(byte[] onnx) throws OrtException {
    session = environment.createSession(onnx);
  }

  float[][] probabilities(float[][] features) throws OrtException {
    try (var input = OnnxTensor.createTensor(environment, features);
        var result = session.run(Map.of(INPUT, input))) {
      return (float[][]) result.get(OUTPUT).orElseThrow().getValue();
    }
  }

  float[] fraudProbabilities(float[][] features) throws OrtException {
    float[][] probabilities = probabilities(features);
    float[] fraud = new float[probabilities.length];
    for (int i = 0; i < fraud.length; i++) {
      fraud[i] = probabilities[i][FRAUD];
    }
    return fraud;
  }

  @Override
  public void close() throws OrtException {
    session.close();
  }
}
