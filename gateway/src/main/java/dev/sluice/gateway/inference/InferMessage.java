package dev.sluice.gateway.inference;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.routing.RequestMemory;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// One request for an inference, however it came.
///
/// Over gRPC it is most often one whose head is known: then nothing of it becomes a message, and its tensors are views of the
/// bytes that came. Whoever needs the message all the same (to complain, to rank classes) gets it made then.
final class InferMessage {

  /// Bytes from which the message can be made.
  interface Source {
    ModelInferRequest parse() throws InvalidProtocolBufferException;
  }

  private static final ByteBuffer[] NO_RAWS = {};

  /// Null if the head is not known.
  private final @Nullable RequestHead head;

  /// What recognises the head from now on, once the request is accepted; null if it is known or has no head.
  private final byte @Nullable [] newHead;

  private final @Nullable RequestHeads heads;
  private final String id;
  private final Map<String, InferParameter> parameters;
  private final ByteBuffer[] raws;
  private final RequestMemory memory;
  private final @Nullable Source source;
  private @Nullable ModelInferRequest message;

  private InferMessage(
      @Nullable RequestHead head,
      byte @Nullable [] newHead,
      @Nullable RequestHeads heads,
      String id,
      Map<String, InferParameter> parameters,
      ByteBuffer[] raws,
      RequestMemory memory,
      @Nullable Source source,
      @Nullable ModelInferRequest message) {
    this.head = head;
    this.newHead = newHead;
    this.heads = heads;
    this.id = id;
    this.parameters = parameters;
    this.raws = raws;
    this.memory = memory;
    this.source = source;
    this.message = message;
  }

  /// A request that is a message already.
  static InferMessage of(ModelInferRequest message) {
    return of(message, RequestMemory.none());
  }

  /// The same, whose raw contents lie in this memory.
  static InferMessage of(ModelInferRequest message, RequestMemory memory) {
    return new InferMessage(
        null, null, null, message.getId(), message.getParametersMap(), NO_RAWS, memory, null, message);
  }

  /// The same, whose head is to be kept in `heads` if the request is accepted.
  ///
  /// @param raws the tensors' bytes as they came, one for each raw content
  static InferMessage of(
      ModelInferRequest message, byte[] head, RequestHeads heads, ByteBuffer[] raws, RequestMemory memory) {
    return new InferMessage(
        null, head, heads, message.getId(), message.getParametersMap(), raws, memory, null, message);
  }

  /// A request with a known head.
  ///
  /// @param raws the tensors' bytes, of the lengths that the head says
  static InferMessage of(
      RequestHead head,
      RequestHeads heads,
      String id,
      Map<String, InferParameter> parameters,
      ByteBuffer[] raws,
      RequestMemory memory,
      Source source) {
    return new InferMessage(head, null, heads, id, parameters, raws, memory, source, null);
  }

  /// Where its large tensors lie; the reader of the request holds it.
  RequestMemory memory() {
    return memory;
  }

  /// Whether its head was known when it came.
  boolean isKnown() {
    return head != null;
  }

  String modelName() {
    return head != null ? head.modelName() : message().getModelName();
  }

  String modelVersion() {
    return head != null ? head.modelVersion() : message().getModelVersion();
  }

  String id() {
    return id;
  }

  Map<String, InferParameter> parameters() {
    return parameters;
  }

  /// Whether any output is wanted as its best classes.
  boolean wantsClasses() {
    return head != null ? head.wantsClasses() : TensorCodec.wantsClasses(message());
  }

  /// Whether its data came in typed contents.
  boolean isTyped() {
    return head == null && TensorCodec.isTyped(message());
  }

  /// The inputs and the names of the outputs wanted, checked against the signature.
  @SuppressWarnings("ReferenceEquality") // A version's signature is one object; an equal one of another version is checked anew.
  Checked check(Signature signature) throws InferenceFailure {
    RequestHead known = head;
    if (known != null && known.plan().signature() == signature) {
      return new Checked(known.plan().inputs(raws), known.plan().outputs());
    }
    List<Tensor> inputs = TensorCodec.inputs(message(), signature);
    List<String> outputs = TensorCodec.outputs(message(), signature);
    byte[] bytes = known != null ? known.bytes() : newHead;
    if (bytes != null && heads != null) {
      RequestHead accepted =
          RequestHead.of(bytes, RequestHeads.hash(bytes, bytes.length), message(), signature, inputs, outputs);
      if (accepted != null) {
        heads.keep(accepted);
      }
    }
    return new Checked(inputs, outputs);
  }

  /// @param outputs the names of those wanted, in order
  record Checked(List<Tensor> inputs, List<String> outputs) {}

  /// All of it as a message.
  ModelInferRequest message() {
    ModelInferRequest made = message;
    if (made == null) {
      if (source == null) {
        throw new IllegalStateException("a request is a message or has a source");
      }
      try {
        made = source.parse();
      } catch (InvalidProtocolBufferException e) {
        // Its head was a message's before, and its other fields have been read.
        throw new IllegalStateException("a request that was read cannot be parsed", e);
      }
      message = made;
    }
    return made;
  }
}
