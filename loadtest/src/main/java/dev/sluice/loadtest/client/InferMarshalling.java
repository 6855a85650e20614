package dev.sluice.loadtest.client;

import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import io.grpc.Drainable;
import io.grpc.KnownLength;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.Marshaller;
import io.grpc.Status;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.function.BooleanSupplier;

/// `ModelInfer` without messages: ready bytes go out, [Answer]s come in.
final class InferMarshalling {
  /// A response larger than this is read into an array of its own instead of growing the shared one.
  private static final int SHARED_BYTES_MAX = 1 << 20;

  private InferMarshalling() {}

  /// @param onOwnThread is this the thread that may use the descriptor's shared buffer?
  static MethodDescriptor<byte[], Answer> method(boolean keepResponses, BooleanSupplier onOwnThread) {
    return GRPCInferenceServiceGrpc.getModelInferMethod()
        .toBuilder(new Outgoing(), new Incoming(keepResponses, onOwnThread))
        .build();
  }

  private static final class Outgoing implements Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] message) {
      return new ReadyBytes(message);
    }

    @Override
    public byte[] parse(InputStream stream) {
      throw new UnsupportedOperationException("a client does not parse requests");
    }
  }

  /// Lets gRPC copy the message into its frame in one step.
  private static final class ReadyBytes extends ByteArrayInputStream implements Drainable, KnownLength {
    ReadyBytes(byte[] message) {
      super(message);
    }

    @Override
    public int drainTo(OutputStream target) throws IOException {
      int written = available();
      target.write(buf, pos, written);
      pos = count;
      return written;
    }
  }

  private static final class Incoming implements Marshaller<Answer> {
    private final boolean keep;
    private final BooleanSupplier onOwnThread;
    private byte[] shared = new byte[4096];

    Incoming(boolean keep, BooleanSupplier onOwnThread) {
      this.keep = keep;
      this.onOwnThread = onOwnThread;
    }

    @Override
    public InputStream stream(Answer answer) {
      throw new UnsupportedOperationException("a client does not send responses");
    }

    @Override
    public Answer parse(InputStream stream) {
      try {
        // gRPC's streams know how much is left of the message.
        int size = stream.available();
        byte[] buffer = buffer(size);
        if (stream.readNBytes(buffer, 0, size) != size || stream.read() >= 0) {
          throw new IOException("the message is not as long as announced");
        }
        return Answer.scan(buffer, size, keep);
      } catch (IOException e) {
        throw Status.INTERNAL.withDescription("the response is not a ModelInferResponse: " + e.getMessage())
            .withCause(e).asRuntimeException();
      }
    }

    private byte[] buffer(int size) {
      if (size > SHARED_BYTES_MAX || !onOwnThread.getAsBoolean()) {
        return new byte[size];
      }
      if (shared.length < size) {
        shared = new byte[Integer.highestOneBit(size) << 1];
      }
      return shared;
    }
  }
}
