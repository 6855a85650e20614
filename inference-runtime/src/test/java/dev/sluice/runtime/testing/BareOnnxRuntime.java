package dev.sluice.runtime.testing;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo.OnnxTensorType;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// ONNX Runtime by its own Java binding, with nothing of Sluice between: what Sluice's answers are held against.
///
/// The binding has two gaps. It cannot make tensors of 16 to 64 bits of unsigned integers, so these are signed ones
/// sent through a model of one `Cast`; and it hands strings over in modified UTF-8, so U+0000 and characters beyond
/// U+FFFF do not survive it: compare such strings with what was sent.
public final class BareOnnxRuntime implements AutoCloseable {

  // A process has one environment, and the binding complains when it is asked for by another name.
  private final OrtEnvironment environment =
      OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL, "sluice");
  private final OrtSession session;
  private final Map<Datatype, OrtSession> casts = new EnumMap<>(Datatype.class);

  private BareOnnxRuntime(@Nullable Path file, byte[] model) throws OrtException {
    try (OrtSession.SessionOptions options = options()) {
      session = file == null
          ? environment.createSession(model, options)
          : environment.createSession(file.toString(), options);
    }
  }

  public static BareOnnxRuntime of(Path file) throws OrtException {
    return new BareOnnxRuntime(file, new byte[0]);
  }

  public static BareOnnxRuntime of(OnnxGraph graph) throws OrtException {
    return new BareOnnxRuntime(null, graph.model());
  }

  /// Runs the model and returns the named outputs, in that order.
  public List<Tensor> run(List<Tensor> inputs, List<String> outputs) throws OrtException {
    List<AutoCloseable> opened = new ArrayList<>();
    try {
      Map<String, OnnxTensor> feeds = new HashMap<>();
      for (Tensor input : inputs) {
        feeds.put(input.name(), tensor(input, opened));
      }
      try (OrtSession.Result result = session.run(feeds, new LinkedHashSet<>(outputs))) {
        List<Tensor> answer = new ArrayList<>();
        for (int i = 0; i < outputs.size(); i++) {
          answer.add(tensor(outputs.get(i), (OnnxTensor) result.get(i)));
        }
        return answer;
      }
    } finally {
      opened.reversed().forEach(BareOnnxRuntime::close);
    }
  }

  /// Whether the binding hands these strings over unchanged; true for all other tensors.
  public static boolean isFaithfulTo(Tensor tensor) {
    return tensor.datatype() != Datatype.BYTES
        || Tensors.strings(tensor).stream()
            .flatMapToInt(String::chars)
            .noneMatch(c -> c == 0 || Character.isSurrogate((char) c));
  }

  @Override
  public void close() throws OrtException {
    session.close();
    for (OrtSession cast : casts.values()) {
      cast.close();
    }
  }

  private OnnxTensor tensor(Tensor input, List<AutoCloseable> opened) throws OrtException {
    long[] shape = input.shape().toArray();
    if (input.datatype() == Datatype.BYTES) {
      return opened(OnnxTensor.createTensor(environment, Tensors.strings(input).toArray(String[]::new), shape), opened);
    }
    ByteBuffer bytes = ByteBuffer.allocateDirect(input.bytes().remaining()).order(ByteOrder.LITTLE_ENDIAN);
    bytes.put(input.bytes().duplicate()).flip();
    OnnxTensor tensor = opened(OnnxTensor.createTensor(environment, bytes, shape, type(input.datatype())), opened);
    Datatype signed = signedTwin(input.datatype());
    if (signed == null) {
      return tensor;
    }
    OrtSession cast = casts.get(input.datatype());
    if (cast == null) {
      cast = castTo(input.datatype(), signed);
      casts.put(input.datatype(), cast);
    }
    return (OnnxTensor) opened(cast.run(Map.of("x", tensor)), opened).get(0);
  }

  private OrtSession castTo(Datatype unsigned, Datatype signed) throws OrtException {
    OnnxGraph graph = new OnnxGraph()
        .inputOfAnyShape("x", signed)
        .node("Cast", List.of("x"), List.of("y"), OnnxGraph.number("to", OnnxGraph.elementType(unsigned)))
        .outputOfAnyShape("y", unsigned);
    try (OrtSession.SessionOptions options = options()) {
      return environment.createSession(graph.model(), options);
    }
  }

  private static Tensor tensor(String name, OnnxTensor tensor) throws OrtException {
    Shape shape = Shape.of(tensor.getInfo().getShape());
    Datatype datatype = datatype(tensor.getInfo().onnxType);
    if (datatype != Datatype.BYTES) {
      ByteBuffer bytes = tensor.getByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
      return new Tensor(name, datatype, shape, bytes);
    }
    List<byte[]> elements = new ArrayList<>();
    if (shape.elements() > 0) {
      flatten(tensor.getValue(), elements);
    }
    return Tensors.byteStrings(name, shape, elements);
  }

  private static void flatten(Object value, List<byte[]> elements) {
    if (value instanceof Object[] values) {
      Arrays.stream(values).forEach(element -> flatten(element, elements));
    } else {
      elements.add(((String) value).getBytes(StandardCharsets.UTF_8));
    }
  }

  private static OrtSession.SessionOptions options() throws OrtException {
    OrtSession.SessionOptions options = new OrtSession.SessionOptions();
    options.setIntraOpNumThreads(1);
    options.setInterOpNumThreads(1);
    return options;
  }

  private static <T extends AutoCloseable> T opened(T resource, List<AutoCloseable> opened) {
    opened.add(resource);
    return resource;
  }

  private static void close(AutoCloseable resource) {
    try {
      resource.close();
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  private static @Nullable Datatype signedTwin(Datatype datatype) {
    return switch (datatype) {
      case UINT16 -> Datatype.INT16;
      case UINT32 -> Datatype.INT32;
      case UINT64 -> Datatype.INT64;
      default -> null;
    };
  }

  private static OnnxJavaType type(Datatype datatype) {
    return switch (datatype) {
      case BOOL -> OnnxJavaType.BOOL;
      case UINT8 -> OnnxJavaType.UINT8;
      case INT8 -> OnnxJavaType.INT8;
      case INT16, UINT16 -> OnnxJavaType.INT16;
      case INT32, UINT32 -> OnnxJavaType.INT32;
      case INT64, UINT64 -> OnnxJavaType.INT64;
      case FP16 -> OnnxJavaType.FLOAT16;
      case BF16 -> OnnxJavaType.BFLOAT16;
      case FP32 -> OnnxJavaType.FLOAT;
      case FP64 -> OnnxJavaType.DOUBLE;
      case BYTES -> OnnxJavaType.STRING;
    };
  }

  private static Datatype datatype(OnnxTensorType type) {
    return switch (type) {
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL -> Datatype.BOOL;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 -> Datatype.UINT8;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16 -> Datatype.UINT16;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32 -> Datatype.UINT32;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64 -> Datatype.UINT64;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 -> Datatype.INT8;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16 -> Datatype.INT16;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 -> Datatype.INT32;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 -> Datatype.INT64;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 -> Datatype.FP16;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16 -> Datatype.BF16;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT -> Datatype.FP32;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE -> Datatype.FP64;
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING -> Datatype.BYTES;
      default -> throw new IllegalArgumentException(type + " is not one of the protocol's types");
    };
  }
}
