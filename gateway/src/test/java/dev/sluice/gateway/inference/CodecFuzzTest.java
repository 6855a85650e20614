package dev.sluice.gateway.inference;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedOutputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import dev.sluice.gateway.routing.Answer;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.InferTensorContents;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.proto.inference.ModelInferRequest.InferRequestedOutputTensor;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.FallbackReason;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import io.grpc.HasByteBuffer;
import io.grpc.KnownLength;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/// The reader and the writer of the wire against the generated classes: what one accepts the other does, with the same content;
/// what one refuses the other does, in the same words.
///
/// A minute by default; `-Dsluice.fuzz.seconds=3600` for an hour, `-Dsluice.fuzz.seed=...` to repeat a failure.
class CodecFuzzTest {

  private static final Duration TIME = Duration.ofSeconds(Integer.getInteger("sluice.fuzz.seconds", 60));
  private static final int FIELD_MAX = 15;

  private static final List<Signature> SIGNATURES =
      List.of(
          signature(0, spec("x", Datatype.FP32, -1, 4)),
          signature(8, spec("x", Datatype.FP32, -1, 4)),
          signature(0, spec("x", Datatype.FP32, -1, 4), spec("größe", Datatype.INT64, 2)),
          signature(0, spec("text", Datatype.BYTES, -1)),
          signature(0, spec("image", Datatype.UINT8, -1, -1)));

  private final long seed = Long.getLong("sluice.fuzz.seed", System.nanoTime());
  private final Random random = new Random(seed);
  private final InferReader reader = new InferReader();

  private long accepted;
  private long refused;
  private long unreadable;
  private long knownHeads;

  @Test
  void readsWhatTheGeneratedClassesRead() {
    long end = System.nanoTime() + TIME.toNanos() / 4 * 3;
    long round = 0;
    while (System.nanoTime() - end < 0) {
      byte[] message = draw();
      Signature signature = pick(SIGNATURES);
      byte[] repeated = message;
      // Twice, so that the second one may find its head known, and then with one change.
      compare(repeated, signature, round);
      compare(repeated, signature, round);
      compare(mutated(repeated), signature, round);
      round++;
    }
    System.out.printf(
        "seed %d: %,d rounds: %,d accepted (%,d with a known head), %,d refused, %,d unreadable%n",
        seed, round, accepted, knownHeads, refused, unreadable);
    assertThat(accepted).isGreaterThan(round / 10);
    assertThat(knownHeads).isGreaterThan(round / 20);
    assertThat(refused).isPositive();
    assertThat(unreadable).isPositive();
  }

  @Test
  void writesWhatTheGeneratedClassesWrite() throws IOException {
    long end = System.nanoTime() + TIME.toNanos() / 4;
    long round = 0;
    while (System.nanoTime() - end < 0) {
      Answer answer = drawAnswer();
      String model = pick(List.of("", "m", "größe", "a-model-with-a-name"));
      String id = pick(List.of("", "1", "ключ", "x".repeat(3000)));
      byte[] expected = generated(model, id, answer).toByteArray();
      InputStream written = new WireAnswer(model, id, answer).stream();
      assertThat(written.available()).describedAs("seed %d round %d", seed, round).isEqualTo(expected.length);
      byte[] got;
      if (random.nextInt(4) == 0) {
        got = written.readAllBytes();
      } else {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        assertThat(((io.grpc.Drainable) written).drainTo(out)).isEqualTo(expected.length);
        got = out.toByteArray();
      }
      assertThat(got).describedAs("seed %d round %d", seed, round).isEqualTo(expected);
      assertThat(written.available()).isZero();
      round++;
    }
    System.out.printf("seed %d: %,d answers written%n", seed, round);
  }

  // --- requests -------------------------------------------------------------------------------------------------------

  /// What a reader makes of a message under a signature.
  private record Outcome(
      @Nullable String fault,
      String model,
      String version,
      String id,
      Map<String, InferParameter> parameters,
      List<Tensor> inputs,
      List<String> outputs,
      boolean typed,
      boolean classes) {

    static Outcome fault(String fault) {
      return new Outcome(fault, "", "", "", Map.of(), List.of(), List.of(), false, false);
    }
  }

  private void compare(byte[] message, Signature signature, long round) {
    Outcome expected = byGeneratedClasses(message, signature);
    Outcome got = byReader(message, signature);
    assertThat(got)
        .describedAs(() -> "seed %d round %d: %s".formatted(seed, round, Base64.getEncoder().encodeToString(message)))
        .isEqualTo(expected);
    if (expected.fault == null) {
      accepted++;
    } else if (expected.fault.equals("unreadable")) {
      unreadable++;
    } else {
      refused++;
    }
  }

  private static Outcome byGeneratedClasses(byte[] bytes, Signature signature) {
    try {
      ModelInferRequest message = ModelInferRequest.parseFrom(bytes);
      try {
        return new Outcome(
            null,
            message.getModelName(),
            message.getModelVersion(),
            message.getId(),
            message.getParametersMap(),
            TensorCodec.inputs(message, signature),
            List.copyOf(TensorCodec.outputs(message, signature)),
            TensorCodec.isTyped(message),
            TensorCodec.wantsClasses(message));
      } catch (InferenceFailure failure) {
        return Outcome.fault(failure.kind() + " " + failure.field() + " " + failure.sentence());
      }
    } catch (InvalidProtocolBufferException e) {
      return Outcome.fault("unreadable");
    }
  }

  private Outcome byReader(byte[] bytes, Signature signature) {
    InferMessage message;
    try {
      message = reader.read(incoming(bytes));
    } catch (InvalidProtocolBufferException e) {
      return Outcome.fault("unreadable");
    } catch (IOException e) {
      throw new AssertionError("seed " + seed, e);
    }
    try {
      InferMessage.Checked checked = message.check(signature);
      knownHeads += message.isKnown() ? 1 : 0;
      List<Tensor> inputs = checked.inputs().stream().map(CodecFuzzTest::copied).toList();
      return new Outcome(
          null,
          message.modelName(),
          message.modelVersion(),
          message.id(),
          message.parameters(),
          inputs,
          List.copyOf(checked.outputs()),
          message.isTyped(),
          message.wantsClasses());
    } catch (InferenceFailure failure) {
      return Outcome.fault(failure.kind() + " " + failure.field() + " " + failure.sentence());
    } finally {
      message.memory().release();
    }
  }

  private static Tensor copied(Tensor tensor) {
    ByteBuffer copy = ByteBuffer.allocate(tensor.bytes().limit()).order(ByteOrder.LITTLE_ENDIAN);
    copy.put(0, tensor.bytes(), 0, tensor.bytes().limit());
    return new Tensor(tensor.name(), tensor.datatype(), tensor.shape(), copy);
  }

  private InputStream incoming(byte[] bytes) {
    return switch (random.nextInt(3)) {
      case 0 -> new Unknown(bytes);
      case 1 -> new Chunks(bytes, 1 + random.nextInt(3000));
      default -> new Views(bytes, 1 + random.nextInt(20_000));
    };
  }

  // --- drawing requests -----------------------------------------------------------------------------------------------

  private byte[] draw() {
    try {
      List<byte[]> fields = new ArrayList<>();
      ModelInferRequest request = drawRequest();
      fields.add(part(request.toBuilder().clearId().clearParameters().clearInputs().clearOutputs().clearRawInputContents()));
      fields.add(ModelInferRequest.newBuilder().setId(request.getId()).build().toByteArray());
      fields.add(ModelInferRequest.newBuilder().putAllParameters(request.getParametersMap()).build().toByteArray());
      request.getInputsList().forEach(input -> fields.add(ModelInferRequest.newBuilder().addInputs(input).build().toByteArray()));
      request.getOutputsList().forEach(output -> fields.add(ModelInferRequest.newBuilder().addOutputs(output).build().toByteArray()));
      request.getRawInputContentsList().forEach(raw -> fields.add(ModelInferRequest.newBuilder().addRawInputContents(raw).build().toByteArray()));
      if (random.nextInt(4) == 0) {
        Collections.shuffle(fields, random);
      }
      if (random.nextInt(20) == 0) {
        fields.add(random.nextInt(fields.size() + 1), unknownField());
      }
      if (random.nextInt(20) == 0) {
        fields.add(random.nextInt(fields.size() + 1), pick(fields));
      }
      ByteArrayOutputStream all = new ByteArrayOutputStream();
      for (byte[] field : fields) {
        all.write(field);
      }
      return all.toByteArray();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static byte[] part(ModelInferRequest.Builder builder) {
    return builder.build().toByteArray();
  }

  private ModelInferRequest drawRequest() {
    ModelInferRequest.Builder request =
        ModelInferRequest.newBuilder()
            .setModelName(pick(List.of("m", "model-1", "model-2", "größe", "")))
            .setModelVersion(pick(List.of("", "", "1", "latest")))
            .setId(pick(List.of("", "request-" + random.nextInt(1000), "ключ", "x".repeat(random.nextInt(3000)))));
    if (random.nextInt(4) == 0) {
      request.putParameters("sluice-key", InferParameter.newBuilder().setStringParam("k" + random.nextInt(50)).build());
    }
    if (random.nextInt(8) == 0) {
      request.putParameters("priority", InferParameter.newBuilder().setInt64Param(random.nextInt(3)).build());
      request.putParameters("größe", InferParameter.newBuilder().setStringParam("x".repeat(random.nextInt(2500))).build());
    }
    Signature signature = pick(SIGNATURES);
    boolean typed = random.nextInt(8) == 0;
    for (TensorSpec spec : signature.inputs()) {
      if (random.nextInt(40) == 0) {
        continue;
      }
      addInput(spec, typed, request);
    }
    if (random.nextInt(3) == 0) {
      InferRequestedOutputTensor.Builder output =
          InferRequestedOutputTensor.newBuilder().setName(pick(List.of("y", "y", "z", "w")));
      if (random.nextInt(3) == 0) {
        output.putParameters("classification", InferParameter.newBuilder().setInt64Param(random.nextInt(3)).build());
      }
      request.addOutputs(output);
    }
    return request.build();
  }

  private void addInput(TensorSpec spec, boolean typed, ModelInferRequest.Builder request) {
    List<Long> dims = new ArrayList<>();
    long elements = 1;
    for (int d = 0; d < spec.shape().rank(); d++) {
      long dim = spec.shape().dim(d) < 0 ? pick(List.of(0L, 1L, 1L, 2L, 3L, 9L, 150L)) : spec.shape().dim(d);
      dims.add(random.nextInt(50) == 0 ? dim + 1 : dim);
      elements *= dim;
    }
    InferInputTensor.Builder input =
        InferInputTensor.newBuilder()
            .setName(spec.name())
            .setDatatype(random.nextInt(50) == 0 ? "FP64" : spec.datatype().name())
            .addAllShape(dims);
    if (random.nextInt(50) == 0) {
      input.putParameters("note", InferParameter.newBuilder().setBoolParam(true).build());
    }
    if (typed && spec.datatype() == Datatype.FP32) {
      InferTensorContents.Builder contents = InferTensorContents.newBuilder();
      for (int i = 0; i < elements; i++) {
        contents.addFp32Contents(random.nextFloat());
      }
      input.setContents(contents);
    } else if (spec.datatype() == Datatype.BYTES) {
      request.addRawInputContents(strings((int) elements));
    } else {
      byte[] raw = new byte[(int) elements * spec.datatype().byteSize() + (random.nextInt(40) == 0 ? 1 : 0)];
      random.nextBytes(raw);
      request.addRawInputContents(ByteString.copyFrom(raw));
    }
    request.addInputs(input);
  }

  private ByteString strings(int elements) {
    ByteBuffer bytes = ByteBuffer.allocate(elements * 16).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < elements; i++) {
      byte[] element = new byte[random.nextInt(12)];
      bytes.putInt(random.nextInt(100) == 0 ? 1000 : element.length).put(element);
    }
    return ByteString.copyFrom(bytes.flip());
  }

  private byte[] unknownField() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    CodedOutputStream out = CodedOutputStream.newInstance(bytes);
    int field = 1 + random.nextInt(FIELD_MAX);
    switch (random.nextInt(5)) {
      case 0 -> out.writeInt64(field, random.nextLong());
      case 1 -> out.writeFixed32(field, random.nextInt());
      case 2 -> out.writeFixed64(field, random.nextLong());
      case 3 -> out.writeByteArray(field, new byte[random.nextInt(40)]);
      default -> {
        // The same length, written with more bytes than it takes.
        out.writeRawByte((byte) (field * 8 + 2));
        out.writeRawByte((byte) 0x83);
        for (int i = random.nextInt(5); i > 0; i--) {
          out.writeRawByte((byte) 0x80);
        }
        out.writeRawByte((byte) 0);
        out.writeRawBytes(new byte[] {'a', 'b', 'c'});
      }
    }
    out.flush();
    return bytes.toByteArray();
  }

  private byte[] mutated(byte[] message) {
    byte[] bytes = message.clone();
    int changes = 1 + random.nextInt(2);
    for (int i = 0; i < changes && bytes.length > 0; i++) {
      // Mostly where the fields begin, for the rest is data.
      int at = random.nextInt(random.nextBoolean() ? Math.min(bytes.length, 120) : bytes.length);
      switch (random.nextInt(5)) {
        case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
        case 1 -> bytes[at] = (byte) random.nextInt(256);
        case 2 -> bytes = Arrays.copyOf(bytes, at);
        case 3 -> bytes[at]++;
        default -> {
          byte[] longer = new byte[bytes.length + 1];
          System.arraycopy(bytes, 0, longer, 0, at);
          longer[at] = (byte) random.nextInt(256);
          System.arraycopy(bytes, at, longer, at + 1, bytes.length - at);
          bytes = longer;
        }
      }
    }
    return bytes;
  }

  // --- answers --------------------------------------------------------------------------------------------------------

  private Answer drawAnswer() {
    List<Tensor> outputs = new ArrayList<>();
    for (int i = random.nextInt(4); i > 0; i--) {
      Datatype datatype = pick(List.of(Datatype.FP32, Datatype.INT64, Datatype.UINT8));
      long[] dims = new long[random.nextInt(4)];
      Arrays.setAll(dims, _ -> pick(List.of(0L, 1L, 2L, 200L, 3L)));
      Shape shape = Shape.of(dims);
      int bytes = (int) Math.min(shape.elements() * datatype.byteSize(), 300_000);
      ByteBuffer raw =
          random.nextInt(5) == 0 ? ByteBuffer.allocateDirect(bytes) : ByteBuffer.allocate(bytes + 7).slice(7, bytes);
      for (int b = 0; b < Math.min(bytes, 64); b++) {
        raw.put(b, (byte) random.nextInt());
      }
      if (random.nextInt(5) == 0) {
        raw = raw.asReadOnlyBuffer();
      }
      outputs.add(new Tensor(pick(List.of("y", "", "größe")), datatype, shape, raw.order(ByteOrder.LITTLE_ENDIAN)));
    }
    Variant variant = random.nextBoolean() ? null : pick(List.of(Variant.values()));
    FallbackReason fallback = random.nextBoolean() ? null : pick(List.of(FallbackReason.values()));
    return new Answer(pick(List.of(1L, 7L, Long.MAX_VALUE)), outputs, variant, fallback);
  }

  private static ModelInferResponse generated(String model, String id, Answer answer) {
    ModelInferResponse.Builder response =
        ModelInferResponse.newBuilder()
            .setModelName(model)
            .setModelVersion(Long.toString(answer.version()))
            .setId(id);
    if (answer.variant() != null) {
      response.putParameters(Inference.VARIANT_PARAMETER, text(answer.variant().label()));
    }
    if (answer.fallback() != null) {
      response.putParameters(Inference.FALLBACK_PARAMETER, text(answer.fallback().label()));
    }
    TensorCodec.write(answer.outputs(), false, response);
    return response.build();
  }

  private static InferParameter text(String value) {
    return InferParameter.newBuilder().setStringParam(value).build();
  }

  // --- parts ----------------------------------------------------------------------------------------------------------

  private <T> T pick(List<T> choices) {
    return choices.get(random.nextInt(choices.size()));
  }

  private static TensorSpec spec(String name, Datatype datatype, long... dims) {
    return new TensorSpec(name, datatype, Shape.of(dims));
  }

  private static Signature signature(int maxBatchSize, TensorSpec... inputs) {
    return new Signature(
        List.of(inputs), List.of(spec("y", Datatype.FP32, -1), spec("z", Datatype.INT64, -1)), List.of(), maxBatchSize);
  }

  /// A stream that does not know how much it has, as of a message that was compressed.
  @SuppressWarnings("InputStreamSlowMultibyteRead") // slow reads are reads
  private static class Unknown extends InputStream {
    final byte[] bytes;
    int position;

    Unknown(byte[] bytes) {
      this.bytes = bytes;
    }

    @Override
    public int read() {
      return position == bytes.length ? -1 : bytes[position++] & 0xFF;
    }
  }

  /// As gRPC's own: it knows its length, and hands out at most so many bytes at once.
  private static class Chunks extends Unknown implements KnownLength {
    final int chunk;

    Chunks(byte[] bytes, int chunk) {
      super(bytes);
      this.chunk = chunk;
    }

    @Override
    public int available() {
      return bytes.length - position;
    }

    @Override
    public int read(byte[] target, int offset, int length) {
      if (position == bytes.length) {
        return length == 0 ? 0 : -1;
      }
      int count = Math.min(Math.min(length, chunk - position % chunk), bytes.length - position);
      System.arraycopy(bytes, position, target, offset, count);
      position += count;
      return count;
    }
  }

  /// The same, with views of what has arrived.
  private static final class Views extends Chunks implements HasByteBuffer {
    Views(byte[] bytes, int chunk) {
      super(bytes, chunk);
    }

    @Override
    public boolean byteBufferSupported() {
      return true;
    }

    @Override
    public @Nullable ByteBuffer getByteBuffer() {
      int count = Math.min(chunk - position % chunk, bytes.length - position);
      return count == 0 ? null : ByteBuffer.wrap(bytes, position, count).slice().asReadOnlyBuffer();
    }

    @Override
    public long skip(long count) {
      int skipped = (int) Math.min(count, bytes.length - position);
      position += skipped;
      return skipped;
    }
  }
}
