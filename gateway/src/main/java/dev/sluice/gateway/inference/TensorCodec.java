package dev.sluice.gateway.inference;

import com.google.protobuf.ByteString;
import com.google.protobuf.UnsafeByteOperations;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.InferTensorContents;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.proto.inference.ModelInferRequest.InferRequestedOutputTensor;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/// Between the protocol's messages and tensors.
///
/// A request is checked whole before anything is allocated for it: names, datatypes, ranks, dimensions, batch, byte counts.
/// Raw contents are wrapped, never copied; typed contents are written out once. Rules and texts follow Triton's
/// (`expected ... but got ...`), because clients match on them.
final class TensorCodec {

  private TensorCodec() {}

  // --- requests -------------------------------------------------------------------------------------------------------

  /// The request's inputs, checked against the signature.
  static List<Tensor> inputs(ModelInferRequest request, Signature signature) throws InferenceFailure {
    String model = request.getModelName();
    int given = request.getInputsCount();
    checkNames(request, signature);
    boolean raw = request.getRawInputContentsCount() > 0;
    List<Tensor> inputs = new ArrayList<>(given);
    for (int i = 0; i < given; i++) {
      InferInputTensor input = request.getInputs(i);
      TensorSpec spec = spec(input, signature, model);
      Shape shape = shape(input, spec, model);
      long bytes = byteCount(input, spec, shape);
      if (raw && input.hasContents()) {
        throw InferenceFailure.invalid(
            "contents field must not be specified when using raw_input_contents for '%s' for model '%s'"
                .formatted(input.getName(), model));
      }
      if (raw && i >= request.getRawInputContentsCount()) {
        throw InferenceFailure.invalid(
            "unable to find data for input tensor '%s' for model '%s' in request: %d inputs but %d raw_input_contents"
                .formatted(input.getName(), model, given, request.getRawInputContentsCount()));
      }
      ByteBuffer contents =
          raw
              ? raw(request.getRawInputContents(i), input, spec, shape, bytes, model)
              : TypedContents.write(input, spec.datatype(), shape, model);
      inputs.add(new Tensor(spec.name(), spec.datatype(), shape, contents));
    }
    checkBatch(inputs, signature, model);
    return inputs;
  }

  private static void checkNames(ModelInferRequest request, Signature signature) throws InferenceFailure {
    String model = request.getModelName();
    for (int i = 0; i < request.getInputsCount(); i++) {
      String name = request.getInputs(i).getName();
      if (signature.input(name) == null) {
        throw InferenceFailure.invalid(
            "unexpected inference input '%s' for model '%s': its inputs are %s"
                .formatted(name, model, names(signature.inputs())));
      }
      for (int j = 0; j < i; j++) {
        if (request.getInputs(j).getName().equals(name)) {
          throw InferenceFailure.invalid("input '%s' for model '%s' is given twice".formatted(name, model));
        }
      }
    }
    if (request.getInputsCount() != signature.inputs().size()) {
      List<String> got = request.getInputsList().stream().map(InferInputTensor::getName).toList();
      List<String> missing = names(signature.inputs()).stream().filter(name -> !got.contains(name)).toList();
      throw InferenceFailure.invalid(
          "expected %d inputs but got %d inputs for model '%s'. Got input(s) %s, but missing required input(s) %s"
              .formatted(signature.inputs().size(), got.size(), model, got, missing));
    }
  }

  private static TensorSpec spec(InferInputTensor input, Signature signature, String model) throws InferenceFailure {
    TensorSpec spec = signature.input(input.getName());
    if (spec == null) {
      throw new IllegalStateException("names were checked before: " + input.getName());
    }
    Datatype datatype = Datatype.of(input.getDatatype());
    if (datatype != spec.datatype()) {
      throw InferenceFailure.invalid(
          "inference input '%s' data-type is '%s', but model '%s' expects '%s'"
              .formatted(input.getName(), input.getDatatype(), model, spec.datatype()));
    }
    return spec;
  }

  private static Shape shape(InferInputTensor input, TensorSpec spec, String model) throws InferenceFailure {
    int rank = input.getShapeCount();
    boolean fits = rank == spec.shape().rank();
    for (int i = 0; i < rank; i++) {
      long dim = input.getShape(i);
      if (dim < 0) {
        throw InferenceFailure.invalid(
            "input '%s' for model '%s': shape %s has dimension %d; a request's dimensions are at least 0"
                .formatted(input.getName(), model, input.getShapeList(), dim));
      }
      fits = fits && (spec.shape().dim(i) < 0 || spec.shape().dim(i) == dim);
    }
    if (!fits) {
      throw InferenceFailure.invalid(
          "unexpected shape for input '%s' for model '%s'. Expected %s, got %s"
              .formatted(input.getName(), model, spec.shape(), input.getShapeList()));
    }
    long[] dims = new long[rank];
    for (int i = 0; i < rank; i++) {
      dims[i] = input.getShape(i);
    }
    return Shape.of(dims);
  }

  /// The size that the shape stands for; -1 for BYTES, whose elements carry their own.
  private static long byteCount(InferInputTensor input, TensorSpec spec, Shape shape) throws InferenceFailure {
    try {
      long bytes = Math.multiplyExact(shape.elements(), spec.datatype().byteSize());
      return spec.datatype() == Datatype.BYTES ? -1 : bytes;
    } catch (ArithmeticException e) {
      throw InferenceFailure.invalid(
          "input '%s': shape %s has more elements than can be counted".formatted(input.getName(), shape));
    }
  }

  private static ByteBuffer raw(
      ByteString contents, InferInputTensor input, TensorSpec spec, Shape shape, long expected, String model)
      throws InferenceFailure {
    ByteBuffer bytes = contents.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    if (spec.datatype() == Datatype.BYTES) {
      checkElements(bytes, input, shape, model);
    } else if (bytes.remaining() != expected) {
      throw InferenceFailure.invalid(
          "input byte size mismatch for input '%s' for model '%s'. Expected %d, got %d"
              .formatted(input.getName(), model, expected, bytes.remaining()));
    }
    return bytes;
  }

  /// Walks the length prefixes: as many elements as the shape has, and not one byte more or less.
  private static void checkElements(ByteBuffer bytes, InferInputTensor input, Shape shape, String model)
      throws InferenceFailure {
    long expected = shape.elements();
    long position = 0;
    for (long element = 0; element < expected; element++) {
      if (position + Integer.BYTES > bytes.limit()) {
        throw InferenceFailure.invalid(
            "expected %d string elements for input '%s' for model '%s', got %d"
                .formatted(expected, input.getName(), model, element));
      }
      long length = Integer.toUnsignedLong(bytes.getInt((int) position));
      position += Integer.BYTES + length;
      if (position > bytes.limit()) {
        throw InferenceFailure.invalid(
            "input '%s' for model '%s': string element %d has %d bytes, which is %d more than there are"
                .formatted(input.getName(), model, element, length, position - bytes.limit()));
      }
    }
    if (position != bytes.limit()) {
      throw InferenceFailure.invalid(
          "expected %d string elements for input '%s' for model '%s', got %d bytes behind the last one"
              .formatted(expected, input.getName(), model, bytes.limit() - position));
    }
  }

  private static void checkBatch(List<Tensor> inputs, Signature signature, String model) throws InferenceFailure {
    if (signature.maxBatchSize() == 0 || inputs.isEmpty()) {
      return;
    }
    long batch = inputs.getFirst().shape().dim(0);
    for (Tensor input : inputs) {
      if (input.shape().dim(0) != batch) {
        throw InferenceFailure.invalid(
            "input '%s' batch size %d does not match the %d of the other inputs for model '%s'"
                .formatted(input.name(), input.shape().dim(0), batch, model));
      }
    }
    if (batch > signature.maxBatchSize()) {
      throw InferenceFailure.invalid(
          "inference request batch-size must be <= %d for '%s', got %d"
              .formatted(signature.maxBatchSize(), model, batch));
    }
  }

  /// The names of the outputs wanted, in the order wanted; all of them when the request names none.
  static List<String> outputs(ModelInferRequest request, Signature signature) throws InferenceFailure {
    int wanted = request.getOutputsCount();
    if (wanted == 0) {
      return names(signature.outputs());
    }
    if (wanted > signature.outputs().size() + signature.unsupportedOutputs().size()) {
      throw InferenceFailure.invalid(
          "%d outputs requested, but model '%s' has %d"
              .formatted(wanted, request.getModelName(), signature.outputs().size()));
    }
    List<String> outputs = new ArrayList<>(wanted);
    for (InferRequestedOutputTensor output : request.getOutputsList()) {
      if (signature.unsupportedOutputs().contains(output.getName())) {
        throw InferenceFailure.invalid(
            "output '%s' of model '%s' is a sequence or map, which the inference protocol cannot carry; it can give %s"
                .formatted(output.getName(), request.getModelName(), names(signature.outputs())));
      }
      if (signature.output(output.getName()) == null) {
        throw InferenceFailure.invalid(
            "unexpected inference output '%s' for model '%s': its outputs are %s"
                .formatted(output.getName(), request.getModelName(), names(signature.outputs())));
      }
      if (outputs.contains(output.getName())) {
        throw InferenceFailure.invalid(
            "output '%s' for model '%s' is requested twice".formatted(output.getName(), request.getModelName()));
      }
      outputs.add(output.getName());
    }
    return outputs;
  }

  private static List<String> names(List<TensorSpec> specs) {
    return specs.stream().map(TensorSpec::name).toList();
  }

  // --- responses ------------------------------------------------------------------------------------------------------

  /// Adds outputs to a response as raw contents, without copying them.
  static void write(List<Tensor> outputs, ModelInferResponse.Builder response) {
    for (int i = 0; i < outputs.size(); i++) {
      Tensor output = outputs.get(i);
      ModelInferResponse.InferOutputTensor.Builder tensor =
          response.addOutputsBuilder().setName(output.name()).setDatatype(output.datatype().name());
      for (int d = 0; d < output.shape().rank(); d++) {
        tensor.addShape(output.shape().dim(d));
      }
      response.addRawOutputContents(UnsafeByteOperations.unsafeWrap(output.bytes().duplicate()));
    }
  }

  /// Typed contents, as KServe's clients and people with a JSON tool send them.
  private static final class TypedContents {

    static ByteBuffer write(InferInputTensor input, Datatype datatype, Shape shape, String model)
        throws InferenceFailure {
      InferTensorContents contents = input.getContents();
      int given = count(contents, datatype, input.getName(), model);
      if (given != shape.elements() || total(contents) != given) {
        throw InferenceFailure.invalid(
            "input '%s' for model '%s': shape %s has %d elements, but the contents for %s hold %d (and other fields %d)"
                .formatted(
                    input.getName(), model, shape, shape.elements(), datatype, given, total(contents) - given));
      }
      ByteBuffer bytes =
          ByteBuffer.allocate(
                  datatype == Datatype.BYTES ? lengthPrefixed(contents) : given * datatype.byteSize())
              .order(ByteOrder.LITTLE_ENDIAN);
      for (int i = 0; i < given; i++) {
        put(bytes, contents, datatype, i);
      }
      return bytes.flip();
    }

    private static int count(InferTensorContents contents, Datatype datatype, String input, String model)
        throws InferenceFailure {
      return switch (datatype) {
        case BOOL -> contents.getBoolContentsCount();
        case INT8, INT16, INT32 -> contents.getIntContentsCount();
        case INT64 -> contents.getInt64ContentsCount();
        case UINT8, UINT16, UINT32 -> contents.getUintContentsCount();
        case UINT64 -> contents.getUint64ContentsCount();
        case FP32 -> contents.getFp32ContentsCount();
        case FP64 -> contents.getFp64ContentsCount();
        case BYTES -> contents.getBytesContentsCount();
        case FP16, BF16 ->
            throw InferenceFailure.invalid(
                "unexpected explicit tensor data for input tensor '%s' for model '%s': %s travels in raw_input_contents only"
                    .formatted(input, model, datatype));
      };
    }

    private static int total(InferTensorContents contents) {
      return contents.getBoolContentsCount()
          + contents.getIntContentsCount()
          + contents.getInt64ContentsCount()
          + contents.getUintContentsCount()
          + contents.getUint64ContentsCount()
          + contents.getFp32ContentsCount()
          + contents.getFp64ContentsCount()
          + contents.getBytesContentsCount();
    }

    private static int lengthPrefixed(InferTensorContents contents) {
      int size = 0;
      for (ByteString element : contents.getBytesContentsList()) {
        size = Math.addExact(size, Integer.BYTES + element.size());
      }
      return size;
    }

    /// Narrow integers keep their low bytes, as Triton does.
    private static void put(ByteBuffer bytes, InferTensorContents contents, Datatype datatype, int i) {
      switch (datatype) {
        case BOOL -> bytes.put((byte) (contents.getBoolContents(i) ? 1 : 0));
        case INT8 -> bytes.put((byte) contents.getIntContents(i));
        case INT16 -> bytes.putShort((short) contents.getIntContents(i));
        case INT32 -> bytes.putInt(contents.getIntContents(i));
        case INT64 -> bytes.putLong(contents.getInt64Contents(i));
        case UINT8 -> bytes.put((byte) contents.getUintContents(i));
        case UINT16 -> bytes.putShort((short) contents.getUintContents(i));
        case UINT32 -> bytes.putInt(contents.getUintContents(i));
        case UINT64 -> bytes.putLong(contents.getUint64Contents(i));
        case FP32 -> bytes.putFloat(contents.getFp32Contents(i));
        case FP64 -> bytes.putDouble(contents.getFp64Contents(i));
        case BYTES -> {
          ByteString element = contents.getBytesContents(i);
          bytes.putInt(element.size());
          element.copyTo(bytes);
        }
        case FP16, BF16 -> throw new IllegalStateException(datatype + " has no typed contents");
      }
    }
  }
}
