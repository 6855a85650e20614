import com.google.protobuf.ByteString;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.proto.inference.ModelInferResponse;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.TimeUnit;

/// Scores one payment. Any stubs generated from the Open Inference Protocol will do; these come with Sluice.
public final class ScorePayment {
  public static void main(String[] args) throws InterruptedException {
    float[] features = new float[21];
    ByteBuffer raw = ByteBuffer.allocate(features.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    raw.asFloatBuffer().put(features);

    Metadata caller = new Metadata();
    caller.put(Metadata.Key.of("sluice-key", Metadata.ASCII_STRING_MARSHALLER), "customer-17");
    caller.put(Metadata.Key.of("sluice-segment-country", Metadata.ASCII_STRING_MARSHALLER), "JP");

    ManagedChannel channel =
        Grpc.newChannelBuilder("localhost:8001", InsecureChannelCredentials.create()).build();
    ModelInferResponse response =
        GRPCInferenceServiceGrpc.newBlockingStub(channel)
            .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(caller))
            .withDeadlineAfter(5, TimeUnit.SECONDS) // a JVM that has just started, and its first connection
            .modelInfer(
                ModelInferRequest.newBuilder()
                    .setModelName("fraud")
                    .setId("payment-1")
                    .addInputs(
                        InferInputTensor.newBuilder()
                            .setName("features").setDatatype("FP32").addShape(1).addShape(features.length))
                    .addRawInputContents(ByteString.copyFrom(raw))
                    .build());

    ByteBuffer scores =
        response.getRawOutputContents(0).asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    System.out.printf("version %s: %.4f likely fraud%n", response.getModelVersion(), scores.getFloat(4));
    response.getParametersMap().forEach((name, value) -> System.out.println(name + " = " + value.getStringParam()));
    channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
  }
}
