package dev.sluice.loadtest.traffic;

import com.google.protobuf.ByteString;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.proto.inference.ModelMetadataResponse;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/// What a request to one model looks like. Makes the messages of a load test, serialised once, before it starts.
public final class RequestForm {
  /// Distinct payloads per test: enough to defeat a response cache of one, few enough to stay in the CPU's cache.
  private static final int GENERATED_MAX = 64;

  private static final long GENERATED_BYTES_MAX = 64L << 20;

  private final String model;
  private final String version;
  private final List<InputForm> inputs;

  private RequestForm(String model, String version, List<InputForm> inputs) {
    this.model = model;
    this.version = version;
    this.inputs = inputs;
  }

  /// The requests that a model's metadata asks for.
  ///
  /// @param version empty: the server chooses
  /// @param shapes by input name: all dimensions, or those after the batch
  public static RequestForm of(
      String model, String version, ModelMetadataResponse metadata, int batch, Map<String, List<Long>> shapes) {
    List<InputForm> inputs = metadata.getInputsList().stream()
        .map(input -> InputForm.of(input, batch, shapes.get(input.getName())))
        .toList();
    for (String name : shapes.keySet()) {
      if (inputs.stream().noneMatch(input -> input.name().equals(name))) {
        throw new InvalidTrafficException("shape for input '%s': model '%s' has inputs %s".formatted(
            name, model, inputs.stream().map(InputForm::name).toList()));
      }
    }
    return new RequestForm(model, version, inputs);
  }

  /// Seeded random payloads.
  public List<byte[]> generate(long seed) {
    var random = new SplittableRandom(seed);
    var messages = new ArrayList<byte[]>();
    long bytes = 0;
    do {
      byte[] message = generate(random);
      messages.add(message);
      bytes += message.length;
    } while (messages.size() < GENERATED_MAX && bytes < GENERATED_BYTES_MAX);
    return messages;
  }

  /// The payloads of a JSON file `{"data": [{"INPUT": [...]}, ...]}`, in the file's order.
  public List<byte[]> read(Path file) {
    return new PayloadFile(file, this).read();
  }

  private byte[] generate(SplittableRandom random) {
    var message = new Message();
    for (InputForm input : inputs) {
      List<Long> shape = input.closedShape();
      long elements = input.elements(shape);
      var raw = new RawBytes((int) input.datatype().bytesOf(elements));
      for (long i = 0; i < elements; i++) {
        input.datatype().putDrawn(raw, random);
      }
      message.add(input, shape, raw.toByteString());
    }
    return message.serialise();
  }

  String model() {
    return model;
  }

  List<InputForm> inputs() {
    return inputs;
  }

  @Nullable InputForm input(String name) {
    return inputs.stream().filter(input -> input.name().equals(name)).findFirst().orElse(null);
  }

  /// One request being put together.
  final class Message {
    private final ModelInferRequest.Builder request =
        ModelInferRequest.newBuilder().setModelName(model).setModelVersion(version);

    void add(InputForm input, List<Long> shape, ByteString raw) {
      request.addInputs(InferInputTensor.newBuilder()
          .setName(input.name()).setDatatype(input.datatype().name()).addAllShape(shape));
      request.addRawInputContents(raw);
    }

    List<String> names() {
      return request.getInputsList().stream().map(InferInputTensor::getName).toList();
    }

    byte[] serialise() {
      return request.build().toByteArray();
    }
  }
}
