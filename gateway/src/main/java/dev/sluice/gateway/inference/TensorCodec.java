package dev.sluice.gateway.inference;

import com.google.protobuf.UnsafeByteOperations;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.InferParameter.ParameterChoiceCase;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferRequest.InferInputTensor;
import dev.sluice.proto.inference.ModelInferRequest.InferRequestedOutputTensor;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelInferResponse.InferOutputTensor;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/// Between the protocol's messages and tensors.
///
/// A request is checked whole before anything is allocated for it: names, datatypes, ranks, dimensions, batch, byte counts.
/// Raw contents are wrapped, never copied; typed contents are written out once. Rules and texts follow Triton's, down to the
/// request's id before those that concern its tensors, because clients match on them.
final class TensorCodec {

  private static final String CLASSIFICATION = "classification";
  private static final String SHARED_MEMORY = "shared_memory_";

  private TensorCodec() {}

  // --- requests -------------------------------------------------------------------------------------------------------

  /// The request's inputs, checked against the signature.
  static List<Tensor> inputs(ModelInferRequest request, Signature signature) throws InferenceFailure {
    int given = request.getInputsCount();
    checkNames(request, signature);
    List<Tensor> inputs = new ArrayList<>(given);
    for (int i = 0; i < given; i++) {
      TensorSpec spec = spec(request, i, signature);
      Shape shape = shape(request, i, spec, signature);
      long bytes = byteCount(request, i, spec, shape);
      inputs.add(new Tensor(spec.name(), spec.datatype(), shape, contents(request, i, spec, shape, bytes)));
    }
    checkBatch(request, inputs, signature);
    return inputs;
  }

  private static void checkNames(ModelInferRequest request, Signature signature) throws InferenceFailure {
    int given = request.getInputsCount();
    for (int i = 1; i < given; i++) {
      for (int j = 0; j < i; j++) {
        if (request.getInputs(i).getName().equals(request.getInputs(j).getName())) {
          throw refused(
              request,
              field(i, "name"),
              "input '%s' already exists in request for model '%s'"
                  .formatted(request.getInputs(i).getName(), request.getModelName()));
        }
        if (i > signature.inputs().size()) {
          throw wrongInputs(request, signature); // before the pairs of a thousand names are compared
        }
      }
    }
    if (given > signature.inputs().size() || given < signature.requiredInputs()) {
      throw wrongInputs(request, signature);
    }
    int required = 0;
    for (int i = 0; i < given; i++) {
      TensorSpec spec = signature.input(request.getInputs(i).getName());
      if (spec == null) {
        throw InferenceFailure.invalid(
            field(i, "name"),
            "unexpected inference input '%s' for model '%s': its inputs are %s"
                .formatted(request.getInputs(i).getName(), request.getModelName(), names(signature.inputs())));
      }
      required += spec.optional() ? 0 : 1;
    }
    if (required < signature.requiredInputs()) {
      throw wrongInputs(request, signature);
    }
  }

  private static InferenceFailure wrongInputs(ModelInferRequest request, Signature signature) {
    List<String> got = request.getInputsList().stream().map(InferInputTensor::getName).toList();
    List<TensorSpec> missing =
        signature.inputs().stream().filter(input -> !input.optional() && !got.contains(input.name())).toList();
    int most = signature.inputs().size();
    int least = signature.requiredInputs();
    return refused(
        request,
        "inputs",
        "%s but got %d inputs for model '%s'. Got input(s) %s, but missing required input(s) %s. Please provide all required input(s)."
            .formatted(
                least == most
                    ? "expected %d inputs".formatted(most)
                    : "expected number of inputs between %d and %d".formatted(least, most),
                got.size(),
                request.getModelName(),
                quoted(got),
                quoted(names(missing))));
  }

  private static TensorSpec spec(ModelInferRequest request, int i, Signature signature) throws InferenceFailure {
    InferInputTensor input = request.getInputs(i);
    TensorSpec spec = signature.input(input.getName());
    if (spec == null) {
      throw new IllegalStateException("names were checked before: " + input.getName());
    }
    if (Datatype.of(input.getDatatype()) != spec.datatype()) {
      throw refused(
          request,
          field(i, "datatype"),
          "inference input '%s' data-type is '%s', but model '%s' expects '%s'"
              .formatted(input.getName(), input.getDatatype(), request.getModelName(), spec.datatype()));
    }
    return spec;
  }

  private static Shape shape(ModelInferRequest request, int i, TensorSpec spec, Signature signature)
      throws InferenceFailure {
    InferInputTensor input = request.getInputs(i);
    int rank = input.getShapeCount();
    boolean anyRank = spec.shape().isAnyRank();
    boolean fits = anyRank || rank == spec.shape().rank();
    for (int d = 0; d < rank; d++) {
      long dim = input.getShape(d);
      if (dim < 0) {
        throw refused(
            request,
            field(i, "shape"),
            "All input dimensions should be specified for input '%s' for model '%s', got %s; dimension %d is below 0"
                .formatted(input.getName(), request.getModelName(), dims(input.getShapeList()), dim));
      }
      fits = fits && (anyRank || spec.shape().dim(d) < 0 || spec.shape().dim(d) == dim);
    }
    if (!fits) {
      throw refused(
          request,
          field(i, "shape"),
          "unexpected shape for input '%s' for model '%s'. Expected %s, got %s.%s"
              .formatted(
                  input.getName(),
                  request.getModelName(),
                  dims(spec.shape()),
                  dims(input.getShapeList()),
                  signature.maxBatchSize() > 0
                      ? " NOTE: max_batch_size is %d, so dimension 0 of every input is the batch."
                          .formatted(signature.maxBatchSize())
                      : ""));
    }
    long[] dims = new long[rank];
    for (int d = 0; d < rank; d++) {
      dims[d] = input.getShape(d);
    }
    return Shape.of(dims);
  }

  /// The size that the shape stands for; -1 for BYTES, whose elements carry their own.
  private static long byteCount(ModelInferRequest request, int i, TensorSpec spec, Shape shape)
      throws InferenceFailure {
    try {
      long bytes = Math.multiplyExact(shape.elements(), spec.datatype().byteSize());
      return spec.datatype() == Datatype.BYTES ? -1 : bytes;
    } catch (ArithmeticException e) {
      throw refused(
          request,
          field(i, "shape"),
          "input '%s' for model '%s': shape %s has more elements than can be counted"
              .formatted(spec.name(), request.getModelName(), dims(shape)));
    }
  }

  private static ByteBuffer contents(ModelInferRequest request, int i, TensorSpec spec, Shape shape, long expected)
      throws InferenceFailure {
    InferInputTensor input = request.getInputs(i);
    String model = request.getModelName();
    if (input.getParametersCount() > 0) {
      requireNoSharedMemory(input.getName(), field(i, "parameters"), input.getParametersMap());
    }
    ByteBuffer bytes;
    if (input.hasContents()) {
      if (request.getRawInputContentsCount() > 0) {
        throw InferenceFailure.invalid(
            field(i, "contents"),
            "contents field must not be specified when using raw_input_contents for '%s' for model '%s'"
                .formatted(input.getName(), model));
      }
      long size = TypedContents.byteSize(input, i, spec.datatype(), model);
      requireBytes(request, i, expected, size);
      bytes = TypedContents.bytes(input.getContents(), spec.datatype(), size);
    } else if (i < request.getRawInputContentsCount()) {
      bytes = request.getRawInputContents(i).asReadOnlyByteBuffer().slice().order(ByteOrder.LITTLE_ENDIAN);
      requireBytes(request, i, expected, bytes.remaining());
    } else {
      throw InferenceFailure.invalid(
          field(i, "contents"),
          "unable to find data for input tensor '%s' for model '%s' in request. It has %d inputs and %d raw_input_contents"
              .formatted(input.getName(), model, request.getInputsCount(), request.getRawInputContentsCount()));
    }
    if (spec.datatype() == Datatype.BYTES) {
      checkElements(request, i, bytes, shape);
    }
    return bytes;
  }

  private static void requireBytes(ModelInferRequest request, int i, long expected, long got)
      throws InferenceFailure {
    if (expected >= 0 && got != expected) {
      throw refused(
          request,
          field(i, "contents"),
          "input byte size mismatch for input '%s' for model '%s'. Expected %d, got %d"
              .formatted(request.getInputs(i).getName(), request.getModelName(), expected, got));
    }
  }

  /// Walks the length prefixes: as many elements as the shape has, and not one byte more or less.
  private static void checkElements(ModelInferRequest request, int i, ByteBuffer bytes, Shape shape)
      throws InferenceFailure {
    long expected = shape.elements();
    long position = 0;
    for (long element = 0; element < expected; element++) {
      long left = bytes.limit() - position;
      if (left == 0) {
        throw wrongElements(request, i, "expected %2$d string elements%1$s, got %3$d", expected, element);
      }
      if (left < Integer.BYTES) {
        throw incompleteLength(request, i, left);
      }
      long length = Integer.toUnsignedLong(bytes.getInt((int) position));
      position += Integer.BYTES + length;
      if (position > bytes.limit()) {
        throw refused(
            request,
            field(i, "contents"),
            "string element %d for inference input '%s' for model '%s' has %d bytes, which is %d more than there are"
                .formatted(
                    element,
                    request.getInputs(i).getName(),
                    request.getModelName(),
                    length,
                    position - bytes.limit()));
      }
    }
    long behind = bytes.limit() - position;
    if (behind >= Integer.BYTES) {
      throw wrongElements(
          request, i, "unexpected number of string elements %2$d%1$s, expecting %3$d", expected + 1, expected);
    }
    if (behind > 0) {
      throw incompleteLength(request, i, behind);
    }
  }

  private static InferenceFailure incompleteLength(ModelInferRequest request, int i, long left) {
    return refused(
        request,
        field(i, "contents"),
        "incomplete string length indicator for inference input '%s' for model '%s', expecting 4 bytes but only %d bytes available."
            .formatted(request.getInputs(i).getName(), request.getModelName(), left));
  }

  private static void checkBatch(ModelInferRequest request, List<Tensor> inputs, Signature signature)
      throws InferenceFailure {
    if (signature.maxBatchSize() == 0 || inputs.isEmpty()) {
      return;
    }
    long batch = inputs.getFirst().shape().dim(0);
    for (int i = 1; i < inputs.size(); i++) {
      long other = inputs.get(i).shape().dim(0);
      if (other != batch) {
        throw refused(
            request,
            field(i, "shape"),
            "input '%s' batch size does not match other inputs for '%s': it is %d instead of %d"
                .formatted(inputs.get(i).name(), request.getModelName(), other, batch));
      }
    }
    if (batch > signature.maxBatchSize()) {
      throw refused(
          request,
          field(0, "shape"),
          "inference request batch-size must be <= %d for '%s', got %d"
              .formatted(signature.maxBatchSize(), request.getModelName(), batch));
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
          "outputs",
          "%d outputs requested, but model '%s' has %d"
              .formatted(wanted, request.getModelName(), signature.outputs().size()));
    }
    List<String> outputs = new ArrayList<>(wanted);
    for (int i = 0; i < wanted; i++) {
      InferRequestedOutputTensor output = request.getOutputs(i);
      TensorSpec spec = signature.output(output.getName());
      if (spec == null) {
        throw unexpectedOutput(output.getName(), i, request, signature);
      }
      if (outputs.contains(output.getName())) {
        throw refused(
            request,
            "outputs[%d].name".formatted(i),
            "output '%s' already exists in request for model '%s'"
                .formatted(output.getName(), request.getModelName()));
      }
      if (output.getParametersCount() > 0) {
        requireNoSharedMemory(output.getName(), "outputs[%d].parameters".formatted(i), output.getParametersMap());
        checkClassification(output, i, spec);
      }
      outputs.add(output.getName());
    }
    return outputs;
  }

  private static InferenceFailure unexpectedOutput(
      String output, int i, ModelInferRequest request, Signature signature) {
    return InferenceFailure.invalid(
        "outputs[%d].name".formatted(i),
        signature.unsupportedOutputs().contains(output)
            ? "output '%s' of model '%s' is a sequence or map, which the inference protocol cannot carry; it can give %s"
                .formatted(output, request.getModelName(), names(signature.outputs()))
            : "unexpected inference output '%s' for model '%s': its outputs are %s"
                .formatted(output, request.getModelName(), names(signature.outputs())));
  }

  private static void checkClassification(InferRequestedOutputTensor output, int i, TensorSpec spec)
      throws InferenceFailure {
    InferParameter count = output.getParametersMap().get(CLASSIFICATION);
    if (count == null) {
      return;
    }
    String field = "outputs[%d].parameters['%s']".formatted(i, CLASSIFICATION);
    if (count.getParameterChoiceCase() != ParameterChoiceCase.INT64_PARAM) {
      throw InferenceFailure.invalid(
          field, "invalid value type for 'classification' parameter, expected int64_param");
    }
    if (count.getInt64Param() <= 0) {
      throw InferenceFailure.invalid(
          field,
          "invalid value for 'classification' parameter, expected > 0, got " + count.getInt64Param());
    }
    if (!Classification.canRank(spec.datatype())) {
      throw InferenceFailure.invalid(
          field,
          "class result not available for output '%s' due to unsupported type '%s'"
              .formatted(output.getName(), spec.datatype()));
    }
  }

  private static void requireNoSharedMemory(String tensor, String field, Map<String, InferParameter> parameters)
      throws InferenceFailure {
    InferParameter region = parameters.get(SHARED_MEMORY + "region");
    if (region == null) {
      for (String alone : List.of(SHARED_MEMORY + "offset", SHARED_MEMORY + "byte_size")) {
        if (parameters.containsKey(alone)) {
          throw InferenceFailure.invalid(
              field,
              "'%s' can not be specified without 'shared_memory_region' parameter for tensor '%s'"
                  .formatted(alone, tensor));
        }
      }
      return;
    }
    if (region.getParameterChoiceCase() != ParameterChoiceCase.STRING_PARAM) {
      throw InferenceFailure.invalid(
          field,
          "invalid value type for 'shared_memory_region' parameter for tensor '%s', expected string_param."
              .formatted(tensor));
    }
    throw SharedMemory.unknown(region.getStringParam());
  }

  // --- responses ------------------------------------------------------------------------------------------------------

  /// Whether any output is wanted as its best classes.
  static boolean wantsClasses(ModelInferRequest request) {
    for (int i = 0; i < request.getOutputsCount(); i++) {
      if (classes(request, i) > 0) {
        return true;
      }
    }
    return false;
  }

  /// How many classes are wanted of the i-th output wanted, 0 if it is wanted as it is.
  static long classes(ModelInferRequest request, int i) {
    InferParameter count = request.getOutputs(i).getParametersMap().get(CLASSIFICATION);
    return count == null ? 0 : count.getInt64Param();
  }

  /// Whether the request's data came in typed contents.
  static boolean isTyped(ModelInferRequest request) {
    return request.getInputsCount() > 0 && request.getInputs(0).hasContents();
  }

  /// Adds outputs to a response: as raw contents, without copying them, or typed if that is wanted and every one of them can be.
  static void write(List<Tensor> outputs, boolean typed, ModelInferResponse.Builder response) {
    boolean allTyped = typed;
    for (Tensor output : outputs) {
      allTyped = allTyped && TypedContents.canHold(output.datatype());
    }
    for (int i = 0; i < outputs.size(); i++) {
      Tensor output = outputs.get(i);
      InferOutputTensor.Builder tensor =
          response.addOutputsBuilder().setName(output.name()).setDatatype(output.datatype().name());
      for (int d = 0; d < output.shape().rank(); d++) {
        tensor.addShape(output.shape().dim(d));
      }
      if (allTyped) {
        tensor.setContents(TypedContents.of(output));
      } else {
        response.addRawOutputContents(UnsafeByteOperations.unsafeWrap(output.bytes().duplicate()));
      }
    }
  }

  // --- words ----------------------------------------------------------------------------------------------------------

  /// With the request's id in front, where Triton writes it.
  private static InferenceFailure refused(ModelInferRequest request, String field, String text) {
    return InferenceFailure.invalid(field, prefix(request.getId()) + text);
  }

  static String prefix(String requestId) {
    return "[request id: " + (requestId.isEmpty() ? "<id_unknown>" : requestId) + "] ";
  }

  private static InferenceFailure wrongElements(
      ModelInferRequest request, int i, String text, long first, long second) {
    String place =
        " for inference input '%s' for model '%s'".formatted(request.getInputs(i).getName(), request.getModelName());
    return refused(request, field(i, "contents"), text.formatted(place, first, second));
  }

  private static String field(int input, String part) {
    return "inputs[" + input + "]." + part;
  }

  private static String dims(Shape shape) {
    return shape.toString().replace(" ", "");
  }

  private static String dims(List<Long> shape) {
    return shape.stream().map(String::valueOf).collect(Collectors.joining(",", "[", "]"));
  }

  private static String quoted(List<String> names) {
    return names.stream().collect(Collectors.joining("','", "['", "']")).replace("['']", "[]");
  }

  private static List<String> names(List<TensorSpec> specs) {
    return specs.stream().map(TensorSpec::name).toList();
  }
}
