package dev.sluice.gateway.cli;

import static dev.sluice.gateway.cli.Typed.sluice;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.protobuf.ByteString;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.InferTensorContents;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelMetadataResponse;
import dev.sluice.proto.inference.ModelMetadataResponse.TensorMetadata;
import java.io.IOException;
import java.nio.BufferUnderflowException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class InferCommandTest {
  private final CannedServer server = new CannedServer();

  @BeforeEach
  void serve() {
    server.metadata = ModelMetadataResponse.newBuilder()
        .setName("fraud")
        .addInputs(tensor("x", "FP32", -1, 3))
        .addInputs(tensor("ids", "INT64", 2))
        .addInputs(tensor("words", "BYTES", -1, -1))
        .build();
    server.inference = ModelInferResponse.newBuilder()
        .setModelName("fraud")
        .setModelVersion("2")
        .putParameters("sluice_variant", InferParameter.newBuilder().setStringParam("candidate").build())
        .addOutputs(ModelInferResponse.InferOutputTensor.newBuilder().setName("score").setDatatype("FP32").addShape(2))
        .addOutputs(ModelInferResponse.InferOutputTensor.newBuilder().setName("ids").setDatatype("INT8").addShape(10))
        .addRawOutputContents(Datatype.FP32.write("0.25").concat(Datatype.FP32.write("-1")))
        .addRawOutputContents(ByteString.copyFrom(new byte[10]))
        .build();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  @Test
  void valuesAreSentRawWithTheDatatypeAndShapeOfTheModel() {
    Typed typed = infer("--input", "x=1,2.5,-3", "--input", "ids=7, 8", "--key", "17", "--segment", "country=JP",
        "--param", "debug=true", "--param", "k=5", "--param", "note=a=b", "--version", "2");

    assertThat(typed.err()).isEmpty();
    assertThat(typed.exitCode()).isZero();
    assertThat(server.lastRequest()).isEqualTo(ModelInferRequest.newBuilder()
        .setModelName("fraud")
        .setModelVersion("2")
        .addInputs(input("x", "FP32", 1, 3))
        .addInputs(input("ids", "INT64", 2))
        .addRawInputContents(hex("0000803f" + "00002040" + "000040c0"))
        .addRawInputContents(hex("0700000000000000" + "0800000000000000"))
        .putParameters("sluice-key", text("17"))
        .putParameters("sluice-segment-country", text("JP"))
        .putParameters("debug", InferParameter.newBuilder().setBoolParam(true).build())
        .putParameters("k", InferParameter.newBuilder().setInt64Param(5).build())
        .putParameters("note", text("a=b"))
        .build());
  }

  @Test
  void theAnswerIsATableWithTheVariantThatGaveIt() {
    assertThat(infer("--input", "x=1,2,3").lines()).containsExactly(
        "fraud version 2  sluice_variant=candidate",
        "OUTPUT  DATATYPE  SHAPE  VALUES",
        "score   FP32      [2]    0.25, -1.0",
        "ids     INT8      [10]   0, 0, 0, 0, 0, 0, 0, 0, … (10 values)");
  }

  @Test
  void theAnswerInJsonHasReadableValues() {
    assertThat(infer("--input", "x=1,2,3", "-o", "json").out())
        .contains("\"fp32Contents\": [0.25, -1.0]").doesNotContain("rawOutputContents\": [\"");
  }

  @Test
  void aFileHoldsTheProtocolsJson(@TempDir Path folder) throws IOException {
    Path file = Files.writeString(folder.resolve("in.json"), """
        {"inputs": [
          {"name": "x", "datatype": "FP32", "shape": [2, 3], "data": [[1, 2, 3], [4, 5, 6]]},
          {"name": "words", "shape": [1, 2], "data": ["a,b", "é"]}
        ]}""");

    assertThat(infer("--data", file.toString()).err()).isEmpty();

    ModelInferRequest request = (ModelInferRequest) server.lastRequest();
    assertThat(request.getInputsList()).containsExactly(input("x", "FP32", 2, 3), input("words", "BYTES", 1, 2));
    assertThat(request.getRawInputContents(0).size()).isEqualTo(24);
    assertThat(request.getRawInputContents(1)).isEqualTo(hex("03000000" + "612c62" + "02000000" + "c3a9"));
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
    "--input y=1                        | input 'y': model 'fraud' has no such input, only [x, ids, words]",
    "--input x=1,two,3                  | input 'x': value 2 of 3, 'two', is not a value of FP32",
    "--input x=1,,3                     | input 'x': value 2 of 3, '', is not a value of FP32",
    "--input x=1,1e39,3                 | input 'x': value 2 of 3, '1e39', is not a value of FP32",
    "--input x=1,2                      | input 'x': 2 values do not fill the shape [-1, 3]",
    "--input ids=1                      | input 'ids': 1 values do not fill the shape [2]",
    "--input ids=1,2.5                  | input 'ids': value 2 of 2, '2.5', is not a value of INT64",
    "--input words=a                    | input 'words': shape [-1, -1] leaves 2 dimensions free; say which with"
        + " --shape words=...",
    "--input x=1,2,3 --shape x=2,3      | input 'x': shape [2, 3] has 6 elements, but there are 3 values",
    "--input x=1,2,3 --shape x=1,a      | shape of 'x': 'a' is not a dimension, which is a whole number such as 3",
    "--input x=1,2,3 --shape x=9999999999,9999999999 | input 'x': shape [9999999999, 9999999999] has more elements"
        + " than can be counted",
    "--input x=1,2,3 --shape y=3        | --shape names [y], for which there is no --input",
    "--input x=1,2,3 --input x=1,2,3    | input 'x' is given twice",
    "--input x=1,2,3 --param a=1 --param a=2 | 'a' is given twice",
    "--version 1                        | no input given: model 'fraud' expects 'x' (FP32 [-1, 3]), 'ids' (INT64 [2]),"
        + " 'words' (BYTES [-1, -1])",
    "--data /nowhere.json               | /nowhere.json: there is no such file"
  })
  void aWrongInputIsNamedWithWhatWasSeenAndExpected(String arguments, String error) {
    Typed typed = infer(arguments.split(" "));

    assertThat(typed.exitCode()).isEqualTo(2);
    assertThat(typed.err().lines()).containsExactly("sluice: " + error);
    assertThat(server.requests).noneMatch(ModelInferRequest.class::isInstance);
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
    "[]                                                    | expected an object with an array 'inputs'",
    "{\"inputs\": [{\"name\": \"x\"}]}                     | every input needs a 'name' and an array 'data'",
    "{\"inputs\": [{\"name\": \"x\", \"data\": [null]}]}   | input 'x': null is not a value",
    "{\"inputs\": [                                        | not JSON:"
  })
  void aWrongFileIsNamedWithItsProblem(String json, String problem, @TempDir Path folder) throws IOException {
    Path file = Files.writeString(folder.resolve("in.json"), json);

    Typed typed = infer("--data", file.toString());

    assertThat(typed.exitCode()).isEqualTo(2);
    assertThat(typed.err().lines()).singleElement().asString().startsWith("sluice: " + file + ": " + problem);
  }

  @Test
  void aFileThatNamesAnotherDatatypeThanTheModelIsRefused(@TempDir Path folder) throws IOException {
    Path file = Files.writeString(
        folder.resolve("in.json"), "{\"inputs\": [{\"name\": \"x\", \"datatype\": \"FP64\", \"data\": [1, 2, 3]}]}");

    assertThat(infer("--data", file.toString()).err().lines())
        .containsExactly("sluice: input 'x': datatype FP64; the model expects FP32");
  }

  @ParameterizedTest
  @CsvSource({
    "BOOL, true, 01, true", "BOOL, 0, 00, false", "UINT8, 255, ff, 255", "UINT16, 65535, ffff, 65535",
    "UINT32, 4294967295, ffffffff, 4294967295", "UINT64, 18446744073709551615, ffffffffffffffff, 18446744073709551615",
    "INT8, -128, 80, -128", "INT16, -2, feff, -2", "INT32, 258, 02010000, 258", "INT64, -1, ffffffffffffffff, -1",
    "FP16, 1.5, 003e, 1.5", "FP16, 65504, ff7b, 65504.0", "BF16, -2.5, 20c0, -2.5", "BF16, NaN, c07f, NaN",
    "FP32, -Infinity, 000080ff, -Infinity", "FP64, 0.1, 9a9999999999b93f, 0.1", "BYTES, hé, 0300000068c3a9, hé"
  })
  void everyDatatypeGoesToLittleEndianBytesAndBack(Datatype datatype, String text, String bytes, String back) {
    assertThat(datatype.write(text)).isEqualTo(hex(bytes));
    assertThat(Datatype.texts(datatype.read(hex(bytes)))).containsExactly(back);
  }

  @ParameterizedTest
  @CsvSource({
    "BOOL, yes", "UINT8, 256", "UINT8, -1", "UINT16, 65536", "UINT32, 4294967296", "UINT64, -1",
    "UINT64, 18446744073709551616", "INT8, 128", "INT16, -32769", "INT32, 2147483648", "INT64, 9223372036854775808",
    "FP16, 65520", "BF16, 3.4e38", "FP32, 3.5e38", "FP64, 1e309", "FP32, ''"
  })
  void aValueThatDoesNotFitItsDatatypeIsNeverSilentlyChanged(Datatype datatype, String text) {
    assertThatThrownBy(() -> datatype.write(text)).isInstanceOf(NumberFormatException.class);
  }

  @Test
  void bytesThatEndWithinAValueAreNotReadAsOne() {
    assertThatThrownBy(() -> Datatype.FP32.read(hex("0000"))).isInstanceOf(BufferUnderflowException.class);
    assertThatThrownBy(() -> Datatype.BYTES.read(hex("ffffffff"))).isInstanceOf(BufferUnderflowException.class);
    assertThatThrownBy(() -> Datatype.BYTES.read(hex("0500000061"))).isInstanceOf(BufferUnderflowException.class);
  }

  @Test
  void typedOutputsOfOtherServersArePrintedAsWell() {
    server.inference = ModelInferResponse.newBuilder()
        .setModelName("fraud")
        .addOutputs(ModelInferResponse.InferOutputTensor.newBuilder()
            .setName("s").setDatatype("FP64").addShape(1)
            .setContents(InferTensorContents.newBuilder().addFp64Contents(0.5)))
        .build();

    assertThat(infer("--input", "x=1,2,3").lines()).last().isEqualTo("s       FP64      [1]    0.5");
  }

  private Typed infer(String... arguments) {
    return sluice(Stream.concat(
            Stream.of("infer", "-m", "fraud", "--target", server.address()), Stream.of(arguments))
        .toArray(String[]::new));
  }

  private static TensorMetadata tensor(String name, String datatype, long... shape) {
    return TensorMetadata.newBuilder().setName(name).setDatatype(datatype).addAllShape(list(shape)).build();
  }

  private static ModelInferRequest.InferInputTensor input(String name, String datatype, long... shape) {
    return ModelInferRequest.InferInputTensor.newBuilder()
        .setName(name).setDatatype(datatype).addAllShape(list(shape)).build();
  }

  private static List<Long> list(long... shape) {
    return Arrays.stream(shape).boxed().toList();
  }

  private static InferParameter text(String text) {
    return InferParameter.newBuilder().setStringParam(text).build();
  }

  private static ByteString hex(String bytes) {
    return ByteString.copyFrom(HexFormat.of().parseHex(bytes));
  }
}
