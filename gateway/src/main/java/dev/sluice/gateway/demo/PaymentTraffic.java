package dev.sluice.gateway.demo;

import com.google.protobuf.UnsafeByteOperations;
import dev.sluice.examples.fraud.Features;
import dev.sluice.examples.fraud.Payment;
import dev.sluice.examples.fraud.PaymentStream;
import dev.sluice.loadtest.traffic.Traffic;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import io.grpc.Metadata;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// The payment stream as requests to the `fraud` model: features as the tensor, the customer as sticky key, the country as
/// segment.
final class PaymentTraffic implements Traffic {

  private static final Metadata.Key<String> KEY = Metadata.Key.of("sluice-key", Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<String> COUNTRY =
      Metadata.Key.of("sluice-segment-country", Metadata.ASCII_STRING_MARSHALLER);

  private final PaymentStream stream;

  PaymentTraffic(PaymentStream stream) {
    this.stream = stream;
  }

  @Override
  public byte[] message(long n) {
    float[] features = Features.of(stream.payment(n));
    ByteBuffer raw = ByteBuffer.allocate(features.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    raw.asFloatBuffer().put(features);
    return ModelInferRequest.newBuilder()
        .setModelName("fraud")
        .setId("payment-" + n)
        .addInputs(
            InferInputTensor.newBuilder()
                .setName("features")
                .setDatatype("FP32")
                .addShape(1)
                .addShape(features.length))
        .addRawInputContents(UnsafeByteOperations.unsafeWrap(raw))
        .build()
        .toByteArray();
  }

  @Override
  public void addMetadata(long n, Metadata headers) {
    Payment payment = stream.payment(n);
    headers.put(KEY, "customer-" + payment.customer());
    headers.put(COUNTRY, payment.country().name());
  }
}
