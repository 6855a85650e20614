package dev.sluice.gateway.inference;

import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.ModelInferRequest;
import io.grpc.Metadata;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.junit.jupiter.api.Test;

class CallerTest {

  @Test
  void metadataComesBeforeParameters() {
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of("sluice-key", Metadata.ASCII_STRING_MARSHALLER), "from metadata");
    ModelInferRequest request =
        ModelInferRequest.newBuilder()
            .putParameters("sluice-key", InferParameter.newBuilder().setStringParam("from parameters").build())
            .putParameters("sluice-tenant", InferParameter.newBuilder().setInt64Param(7).build())
            .build();

    assertThat(new Caller(headers, request.getParametersMap()).value("sluice-key")).isEqualTo("from metadata");
    assertThat(new Caller(null, request.getParametersMap()).value("sluice-key")).isEqualTo("from parameters");
    assertThat(new Caller(headers, request.getParametersMap()).value("sluice-tenant")).isEqualTo("7");
    assertThat(new Caller(headers, request.getParametersMap()).value("sluice-segment-country")).isNull();
  }

  /// gRPC keeps metadata whose name ends in `-bin` for bytes; a note may well name a segment so.
  @Test
  void anAttributeWhoseNameEndsInBinIsTextInBytes() {
    Metadata headers = new Metadata();
    headers.put(
        Metadata.Key.of("sluice-segment-recycle-bin", Metadata.BINARY_BYTE_MARSHALLER),
        "grün".getBytes(StandardCharsets.UTF_8));

    assertThat(new Caller(headers, Map.of()).value("sluice-segment-recycle-bin"))
        .isEqualTo("grün");
  }
}
