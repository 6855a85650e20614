package dev.sluice.gateway.inference;

import static java.util.Objects.requireNonNull;

import com.google.protobuf.CodedOutputStream;
import dev.sluice.gateway.routing.Answer;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelInferResponse.InferOutputTensor;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.observation.FallbackReason;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import io.grpc.Drainable;
import io.grpc.KnownLength;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/// A `ModelInferResponse` that never becomes a message: it is written to the wire as its parts are, raw contents included.
///
/// The fields are written in the order of their numbers, as the generated classes do, so that the bytes are the same.
record WireAnswer(String modelName, String id, Answer answer) {

  /// As a generated message it could not be larger either.
  private static final long BYTES_MAX = Integer.MAX_VALUE - (1 << 20);

  private static final int LENGTH_DELIMITED = 2;
  private static final Map<Variant, byte[]> VARIANTS = parameters(Inference.VARIANT_PARAMETER, Variant.class, Variant::label);
  private static final Map<FallbackReason, byte[]> FALLBACKS =
      parameters(Inference.FALLBACK_PARAMETER, FallbackReason.class, FallbackReason::label);

  /// Says so at once when the answer is larger than a message can be.
  WireAnswer {
    long bytes = 0;
    for (int i = 0; i < answer.outputs().size(); i++) {
      bytes += answer.outputs().get(i).bytes().limit();
    }
    if (bytes > BYTES_MAX) {
      throw new IllegalArgumentException("its outputs have %d bytes; a message has at most 2 GiB".formatted(bytes));
    }
  }

  /// The message's bytes; to be read on this thread before it makes the next ones.
  InputStream stream() {
    return new Bytes(this);
  }

  /// What a response's bytes are that has this one parameter and nothing else, by its value.
  private static <E extends Enum<E>> Map<E, byte[]> parameters(String name, Class<E> values, Function<E, String> label) {
    Map<E, byte[]> bytes = new EnumMap<>(values);
    for (E value : EnumSet.allOf(values)) {
      InferParameter text = InferParameter.newBuilder().setStringParam(label.apply(value)).build();
      bytes.put(value, ModelInferResponse.newBuilder().putParameters(name, text).build().toByteArray());
    }
    return bytes;
  }

  // --- the fields -----------------------------------------------------------------------------------------------------

  private void writeHead(CodedOutputStream out) throws IOException {
    writeUnlessEmpty(ModelInferResponse.MODEL_NAME_FIELD_NUMBER, modelName, out);
    out.writeString(ModelInferResponse.MODEL_VERSION_FIELD_NUMBER, Long.toString(answer.version()));
    writeUnlessEmpty(ModelInferResponse.ID_FIELD_NUMBER, id, out);
    Variant variant = answer.variant();
    if (variant != null) {
      out.writeRawBytes(requireNonNull(VARIANTS.get(variant)));
    }
    FallbackReason fallback = answer.fallback();
    if (fallback != null) {
      out.writeRawBytes(requireNonNull(FALLBACKS.get(fallback)));
    }
    List<Tensor> outputs = answer.outputs();
    for (int i = 0; i < outputs.size(); i++) {
      writeOutput(outputs.get(i), out);
    }
  }

  private static void writeOutput(Tensor output, CodedOutputStream out) throws IOException {
    String datatype = output.datatype().name();
    Shape shape = output.shape();
    int shapeBytes = 0;
    for (int d = 0; d < shape.rank(); d++) {
      shapeBytes += CodedOutputStream.computeInt64SizeNoTag(shape.dim(d));
    }
    int bytes =
        sizeUnlessEmpty(InferOutputTensor.NAME_FIELD_NUMBER, output.name())
            + CodedOutputStream.computeStringSize(InferOutputTensor.DATATYPE_FIELD_NUMBER, datatype)
            + (shapeBytes == 0
                ? 0
                : CodedOutputStream.computeTagSize(InferOutputTensor.SHAPE_FIELD_NUMBER)
                    + CodedOutputStream.computeUInt32SizeNoTag(shapeBytes)
                    + shapeBytes);
    out.writeTag(ModelInferResponse.OUTPUTS_FIELD_NUMBER, LENGTH_DELIMITED);
    out.writeUInt32NoTag(bytes);
    writeUnlessEmpty(InferOutputTensor.NAME_FIELD_NUMBER, output.name(), out);
    out.writeString(InferOutputTensor.DATATYPE_FIELD_NUMBER, datatype);
    if (shapeBytes > 0) {
      out.writeTag(InferOutputTensor.SHAPE_FIELD_NUMBER, LENGTH_DELIMITED);
      out.writeUInt32NoTag(shapeBytes);
      for (int d = 0; d < shape.rank(); d++) {
        out.writeInt64NoTag(shape.dim(d));
      }
    }
  }

  private static int sizeUnlessEmpty(int field, String text) {
    return text.isEmpty() ? 0 : CodedOutputStream.computeStringSize(field, text);
  }

  private static void writeUnlessEmpty(int field, String text, CodedOutputStream out) throws IOException {
    if (!text.isEmpty()) {
      out.writeString(field, text);
    }
  }

  // --- bytes ----------------------------------------------------------------------------------------------------------

  /// A thread's memory for what it writes: the fields before the raw contents, and room for the start of each of those.
  private static final class Scratch {
    private static final int KEPT_BYTES_MAX = 64 << 10;
    private static final ThreadLocal<Scratch> MINE = ThreadLocal.withInitial(Scratch::new);

    private byte[] bytes = new byte[2048];

    /// The bytes before the raw contents.
    int write(WireAnswer answer) throws IOException {
      if (bytes.length > KEPT_BYTES_MAX) {
        bytes = new byte[2048];
      }
      while (true) {
        try {
          CodedOutputStream out = CodedOutputStream.newInstance(bytes, 0, bytes.length - Bytes.RAW_START_BYTES_MAX);
          answer.writeHead(out);
          return out.getTotalBytesWritten();
        } catch (CodedOutputStream.OutOfSpaceException tooSmall) {
          bytes = new byte[bytes.length * 2];
        }
      }
    }
  }

  /// gRPC asks how much there is, makes room for that, and has it written there.
  private static final class Bytes extends InputStream implements Drainable, KnownLength {
    /// A tag and the length of at most 2 GiB.
    private static final int RAW_START_BYTES_MAX = 6;

    private static final byte RAW_TAG =
        (byte) (ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER * 8 + LENGTH_DELIMITED);

    private final List<Tensor> outputs;
    private final byte[] head;
    private final int headBytes;
    private int left;
    private @Nullable InputStream plain;

    Bytes(WireAnswer answer) {
      this.outputs = answer.answer.outputs();
      Scratch scratch = Scratch.MINE.get();
      try {
        this.headBytes = scratch.write(answer);
      } catch (IOException e) {
        throw new IllegalStateException("memory cannot be written to", e);
      }
      this.head = scratch.bytes;
      long bytes = headBytes;
      for (int i = 0; i < outputs.size(); i++) {
        int raw = outputs.get(i).bytes().limit();
        bytes += 1 + CodedOutputStream.computeUInt32SizeNoTag(raw) + raw;
      }
      this.left = Math.toIntExact(bytes);
    }

    @Override
    public int available() {
      return left;
    }

    @Override
    public int drainTo(OutputStream target) throws IOException {
      int written = left;
      if (plain != null) {
        plain.transferTo(target);
      } else {
        target.write(head, 0, headBytes);
        for (int i = 0; i < outputs.size(); i++) {
          ByteBuffer raw = outputs.get(i).bytes();
          target.write(head, headBytes, writeRawStart(raw.limit()));
          write(raw, target);
        }
      }
      left = 0;
      return written;
    }

    /// Behind the head; the number of bytes that it takes.
    private int writeRawStart(int length) {
      int at = headBytes;
      head[at++] = RAW_TAG;
      int left = length;
      while (left > 0x7F) {
        head[at++] = (byte) ((left & 0x7F) | 0x80);
        left >>>= 7;
      }
      head[at++] = (byte) left;
      return at - headBytes;
    }

    private static void write(ByteBuffer raw, OutputStream target) throws IOException {
      if (raw.hasArray()) {
        target.write(raw.array(), raw.arrayOffset(), raw.limit());
      } else {
        byte[] copy = new byte[raw.limit()];
        raw.get(0, copy);
        target.write(copy, 0, copy.length);
      }
    }

    // For who reads a stream as streams are read.

    @Override
    public int read() throws IOException {
      int read = plain().read();
      left -= read < 0 ? 0 : 1;
      return read;
    }

    @Override
    public int read(byte[] bytes, int offset, int length) throws IOException {
      int read = plain().read(bytes, offset, length);
      left -= Math.max(0, read);
      return read;
    }

    private InputStream plain() throws IOException {
      if (plain == null) {
        ByteArrayOutputStream all = new ByteArrayOutputStream(left);
        int size = left;
        drainTo(all);
        left = size;
        plain = new ByteArrayInputStream(all.toByteArray());
      }
      return plain;
    }
  }
}
