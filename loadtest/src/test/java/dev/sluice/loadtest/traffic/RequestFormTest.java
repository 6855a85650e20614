package dev.sluice.loadtest.traffic;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelMetadataResponse;
import dev.sluice.proto.inference.ModelMetadataResponse.TensorMetadata;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class RequestFormTest {
  @TempDir
  Path folder;

  @ParameterizedTest
  @EnumSource(Datatype.class)
  void generatedPayloadsHaveTheDeclaredShapeAndExactlyItsBytes(Datatype datatype) throws Exception {
    RequestForm form = form(1, Map.of(), input("x", datatype.name(), 3, 5));
    for (byte[] message : form.generate(1)) {
      ModelInferRequest request = ModelInferRequest.parseFrom(message);
      assertThat(request.getModelName()).isEqualTo("m");
      assertThat(request.getInputs(0).getDatatype()).isEqualTo(datatype.name());
      assertThat(request.getInputs(0).getShapeList()).containsExactly(3L, 5L);
      assertThat(elementsIn(request.getRawInputContents(0), datatype)).isEqualTo(15);
    }
  }

  @Test
  void generatedPayloadsFollowTheSeed() {
    RequestForm form = form(1, Map.of(), input("x", "FP32", -1, 4));
    assertThat(form.generate(7)).usingRecursiveComparison().isEqualTo(form.generate(7));
    assertThat(form.generate(7).getFirst()).isNotEqualTo(form.generate(8).getFirst());
    assertThat(form.generate(7)).hasSize(64).doesNotHaveDuplicates();
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "BOOL   | [true, 0, 1]                     | 010001",
      "UINT8  | [0, 255]                         | 00ff",
      "UINT16 | [65535, 1]                       | ffff0100",
      "UINT32 | [4294967295]                     | ffffffff",
      "UINT64 | [18446744073709551615, 2]        | ffffffffffffffff0200000000000000",
      "INT8   | [-128, 127]                      | 807f",
      "INT16  | [-2, 258]                        | feff0201",
      "INT32  | [-1, 16909060]                   | ffffffff04030201",
      "INT64  | [-9223372036854775808]           | 0000000000000080",
      "FP16   | [1, -2, 65504]                   | 003c00c0ff7b",
      "BF16   | [1, -2, 1.00390625, 1.01171875]  | 803f00c0803f823f",
      "FP32   | [1, -2.5]                        | 0000803f000020c0",
      "FP64   | [1]                              | 000000000000f03f",
      "BYTES  | [\"ab\", \"\", \"é\"]            | 020000006162000000000200 0000c3a9",
  })
  void valuesOfAPayloadFileBecomeLittleEndianBytes(String datatype, String values, String hex) throws Exception {
    ModelInferRequest request = read("{\"data\": [{\"x\": %s}]}"
        .formatted(values), input("x", datatype, -1)).getFirst();
    assertThat(HexFormat.of().formatHex(request.getRawInputContents(0).toByteArray())).isEqualTo(hex.replace(" ", ""));
  }

  @Test
  void payloadsOfAFileKeepTheirOrderAndTheirShapes() throws Exception {
    List<ModelInferRequest> requests = read("""
        {"comment": {"ignored": [1]},
         "data": [
           {"x": [1, 2, 3, 4], "y": ["a"]},
           [{"y": {"content": ["b", "c"], "shape": [2]}, "x": {"content": [[5, 6], [7, 8]], "shape": [2, 2]}}],
           {"x": {"b64": "AQIDBA=="}, "y": ["d"]}
         ]}
        """, input("x", "INT8", -1, 2), input("y", "BYTES", -1));
    assertThat(requests).hasSize(3);
    assertThat(requests.get(0).getInputs(0).getShapeList()).containsExactly(2L, 2L);
    assertThat(requests.get(1).getInputs(0).getName()).isEqualTo("y");
    assertThat(requests.get(1).getInputs(0).getShapeList()).containsExactly(2L);
    assertThat(requests.get(1).getRawInputContents(1)).isEqualTo(ByteString.copyFrom(new byte[] {5, 6, 7, 8}));
    assertThat(requests.get(2).getRawInputContents(0)).isEqualTo(ByteString.copyFrom(new byte[] {1, 2, 3, 4}));
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
      "{\"data\": [{\"x\": [1, 300]}]} | line 1, column 21: input 'x' (INT8): 300; expected an integer from -128 to 127",
      "{\"data\": [{\"x\": [1, \"2\"]}]} | input 'x' (INT8): \"2\"; expected an integer",
      "{\"data\": [{\"x\": [1, 2.5]}]} | input 'x' (INT8): 2.5; expected an integer",
      "{\"data\": [{\"x\": [1, 2, 3]}]} | input 'x': 3 elements do not fit shape [-1, 2]",
      "{\"data\": [{\"x\": {\"content\": [1, 2], \"shape\": [2, 2]}}]} | input 'x': 2 elements; shape [2, 2] needs 4",
      "{\"data\": [{\"x\": {\"content\": [1, 2], \"shape\": [2]}}]} | input 'x': shape [2]; the model declares [-1, 2]",
      "{\"data\": [{\"x\": {\"content\": [1], \"shape\": [-1, 2]}}]} | input 'x': dimension -1; expected an integer of 0 or more",
      "{\"data\": [{\"x\": {\"contents\": [1]}}]} | field 'contents' is unknown; expected content, shape or b64",
      "{\"data\": [{\"x\": 5}]} | 5; expected an array of INT8 elements for input 'x'",
      "{\"data\": [{\"z\": [1]}]} | input 'z' is unknown; model 'm' has inputs [x]",
      "{\"data\": [{}]} | payload 1 gives inputs []; expected 'x' once",
      "{\"data\": []} | no payload found",
      "{} | no payload found",
      "[] | an array; expected an object",
      "{\"data\": [{\"x\": [1, 2}]} | not valid JSON",
      "{\"data\": [{\"x\": [1, 2 | not valid JSON",
  })
  void aPayloadFileThatCannotBeSentIsRefusedWithPlaceValueAndExpectation(String json, String complaint) {
    assertThatThrownBy(() -> read(json, input("x", "INT8", -1, 2)))
        .isInstanceOf(InvalidTrafficException.class)
        .hasMessageContaining("payloads.json").hasMessageContaining(complaint);
  }

  @Test
  void aPayloadFileThatIsNotThereIsNamed() {
    assertThatThrownBy(() -> form(1, Map.of(), input("x", "INT8", 1)).read(folder.resolve("none.json")))
        .isInstanceOf(InvalidTrafficException.class).hasMessageContaining("none.json: cannot be read");
  }

  @Test
  void batchAndShapeFillTheFreeDimensions() throws Exception {
    RequestForm form = form(4, Map.of("x", List.of(7L, 2L), "y", List.of(3L, 9L)),
        input("x", "INT8", -1, -1, 2), input("y", "INT8", -1, 9), input("z", "INT8", -1, 1));
    ModelInferRequest request = ModelInferRequest.parseFrom(form.generate(1).getFirst());
    assertThat(request.getInputs(0).getShapeList()).containsExactly(4L, 7L, 2L);
    assertThat(request.getInputs(1).getShapeList()).containsExactly(3L, 9L);
    assertThat(request.getInputs(2).getShapeList()).containsExactly(4L, 1L);
  }

  @Test
  void shapesThatDoNotFitAreRefused() {
    TensorMetadata input = input("x", "FP32", -1, -1, 2);
    assertThatThrownBy(() -> form(1, Map.of(), input).generate(1))
        .hasMessageContaining("input 'x' has shape [-1, -1, 2]: dimension 1 is free")
        .hasMessageContaining("--shape x:8,2");
    assertThatThrownBy(() -> form(1, Map.of("x", List.of(7L, 3L)), input))
        .hasMessageContaining("shape [7, 3] does not fit input 'x': the model declares [-1, -1, 2]");
    assertThatThrownBy(() -> form(1, Map.of("q", List.of(7L)), input)).hasMessageContaining("shape for input 'q'");
    assertThatThrownBy(() -> form(1, Map.of("x", List.of(999_999_999_999L, 2L)), input))
        .hasMessageContaining("256 MiB");
    assertThatThrownBy(() -> form(1, Map.of(), input("x", "FLOAT", 1))).hasMessageContaining("datatype 'FLOAT'");
  }

  private List<ModelInferRequest> read(String json, TensorMetadata... inputs) throws IOException {
    Path file = Files.writeString(folder.resolve("payloads.json"), json);
    return form(1, Map.of(), inputs).read(file).stream().map(RequestFormTest::parsed).toList();
  }

  private static ModelInferRequest parsed(byte[] message) {
    try {
      return ModelInferRequest.parseFrom(message);
    } catch (InvalidProtocolBufferException e) {
      throw new AssertionError(e);
    }
  }

  private static RequestForm form(int batch, Map<String, List<Long>> shapes, TensorMetadata... inputs) {
    var metadata = ModelMetadataResponse.newBuilder().addAllInputs(List.of(inputs)).build();
    return RequestForm.of("m", "", metadata, batch, shapes);
  }

  private static TensorMetadata input(String name, String datatype, long... shape) {
    var input = TensorMetadata.newBuilder().setName(name).setDatatype(datatype);
    for (long dimension : shape) {
      input.addShape(dimension);
    }
    return input.build();
  }

  private static int elementsIn(ByteString raw, Datatype datatype) {
    if (datatype.width > 0) {
      assertThat(raw.size() % datatype.width).isZero();
      return raw.size() / datatype.width;
    }
    ByteBuffer buffer = raw.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    int elements = 0;
    while (buffer.hasRemaining()) {
      buffer.position(buffer.getInt() + buffer.position());
      elements++;
    }
    return elements;
  }
}
