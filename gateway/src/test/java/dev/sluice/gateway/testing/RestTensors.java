package dev.sluice.gateway.testing;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.Tensors;
import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Tensors in the bodies of HTTP requests, and read back from those of responses: what any client library does.
public final class RestTensors {

  private static final JsonMapper JSON = JsonMapper.builder().build();

  private RestTensors() {}

  /// The elements in the document, nested as the shape is.
  public static Rest.Answer inferJson(Rest rest, String model, List<Tensor> inputs, List<String> outputs) {
    ObjectNode request = request(inputs, outputs);
    for (int i = 0; i < inputs.size(); i++) {
      ((ObjectNode) request.get("inputs").get(i)).set("data", data(inputs.get(i)));
    }
    return rest.post(path(model), request.toString());
  }

  /// The elements behind the document, in both directions.
  public static Rest.Answer inferBinary(Rest rest, String model, List<Tensor> inputs, List<String> outputs) {
    ObjectNode request = request(inputs, outputs);
    request.putObject("parameters").put("binary_data_output", true);
    ByteArrayOutputStream body = new ByteArrayOutputStream();
    for (int i = 0; i < inputs.size(); i++) {
      byte[] bytes = bytes(inputs.get(i));
      ((ObjectNode) request.get("inputs").get(i)).putObject("parameters").put("binary_data_size", bytes.length);
      body.writeBytes(bytes);
    }
    byte[] json = request.toString().getBytes(UTF_8);
    byte[] binary = body.toByteArray();
    byte[] whole = new byte[json.length + binary.length];
    System.arraycopy(json, 0, whole, 0, json.length);
    System.arraycopy(binary, 0, whole, json.length, binary.length);
    return rest.post(path(model), whole, Rest.JSON_LENGTH, Integer.toString(json.length));
  }

  /// The answer's tensors, each from where it lies.
  public static List<Tensor> outputs(Rest.Answer answer) {
    if (answer.status() != 200) {
      throw new AssertionError(answer.status() + " " + answer.text());
    }
    JsonNode json = answer.json();
    String jsonLength = answer.header(Rest.JSON_LENGTH);
    ByteBuffer binary = answer.bytes().duplicate();
    binary.position(jsonLength.isEmpty() ? binary.limit() : Integer.parseInt(jsonLength));
    List<Tensor> outputs = new ArrayList<>();
    for (JsonNode output : json.get("outputs")) {
      Datatype datatype = Objects.requireNonNull(Datatype.of(output.get("datatype").asString()));
      long[] dims = new long[output.get("shape").size()];
      for (int i = 0; i < dims.length; i++) {
        dims[i] = output.get("shape").get(i).asLong();
      }
      ByteBuffer bytes;
      if (output.has("data")) {
        bytes = elements(datatype, output.get("data"));
      } else {
        int size = output.get("parameters").get("binary_data_size").asInt();
        bytes = binary.slice(binary.position(), size).order(ByteOrder.LITTLE_ENDIAN);
        binary.position(binary.position() + size);
      }
      outputs.add(new Tensor(output.get("name").asString(), datatype, Shape.of(dims), bytes));
    }
    if (binary.hasRemaining()) {
      throw new AssertionError(binary.remaining() + " bytes that belong to no output");
    }
    return outputs;
  }

  private static String path(String model) {
    return "/v2/models/%s/infer".formatted(model);
  }

  private static ObjectNode request(List<Tensor> inputs, List<String> outputs) {
    ObjectNode request = JSON.createObjectNode();
    ArrayNode tensors = request.putArray("inputs");
    for (Tensor input : inputs) {
      ObjectNode tensor = tensors.addObject().put("name", input.name());
      ArrayNode shape = tensor.putArray("shape");
      for (long dim : input.shape().toArray()) {
        shape.add(dim);
      }
      tensor.put("datatype", input.datatype().name());
    }
    if (!outputs.isEmpty()) {
      ArrayNode wanted = request.putArray("outputs");
      outputs.forEach(name -> wanted.addObject().put("name", name));
    }
    return request;
  }

  private static byte[] bytes(Tensor tensor) {
    byte[] bytes = new byte[tensor.bytes().remaining()];
    tensor.bytes().duplicate().get(bytes);
    return bytes;
  }

  private static ArrayNode data(Tensor tensor) {
    ArrayNode flat = JSON.createArrayNode();
    if (tensor.datatype() == Datatype.BYTES) {
      Tensors.strings(tensor).forEach(flat::add);
    } else {
      ByteBuffer bytes = tensor.bytes().duplicate().order(ByteOrder.LITTLE_ENDIAN);
      while (bytes.hasRemaining()) {
        addElement(flat, tensor.datatype(), bytes);
      }
    }
    long[] dims = tensor.shape().toArray();
    boolean nests = dims.length > 1 && tensor.shape().elements() > 0;
    return nests ? nested(flat, dims, 0, new int[1]) : flat;
  }

  private static ArrayNode nested(ArrayNode flat, long[] dims, int dim, int[] next) {
    ArrayNode level = JSON.createArrayNode();
    for (long i = 0; i < dims[dim]; i++) {
      level.add(dim == dims.length - 1 ? flat.get(next[0]++) : nested(flat, dims, dim + 1, next));
    }
    return level;
  }

  private static void addElement(ArrayNode array, Datatype datatype, ByteBuffer bytes) {
    switch (datatype) {
      case BOOL -> array.add(bytes.get() != 0);
      case INT8 -> array.add(bytes.get());
      case INT16 -> array.add(bytes.getShort());
      case INT32 -> array.add(bytes.getInt());
      case INT64 -> array.add(bytes.getLong());
      case UINT8 -> array.add(Byte.toUnsignedInt(bytes.get()));
      case UINT16 -> array.add(Short.toUnsignedInt(bytes.getShort()));
      case UINT32 -> array.add(Integer.toUnsignedLong(bytes.getInt()));
      case UINT64 -> array.add(new BigInteger(Long.toUnsignedString(bytes.getLong())));
      case FP32 -> array.add(bytes.getFloat());
      case FP64 -> array.add(bytes.getDouble());
      case FP16, BF16, BYTES -> throw new IllegalArgumentException(datatype + " has no number in JSON");
    }
  }

  private static ByteBuffer elements(Datatype datatype, JsonNode data) {
    if (datatype == Datatype.BYTES) {
      List<byte[]> texts = new ArrayList<>();
      data.forEach(text -> texts.add(text.asString().getBytes(UTF_8)));
      return Tensors.byteStrings("", Shape.of(texts.size()), texts).bytes();
    }
    ByteBuffer bytes = ByteBuffer.allocate(data.size() * datatype.byteSize()).order(ByteOrder.LITTLE_ENDIAN);
    for (JsonNode element : data) {
      switch (datatype) {
        case BOOL -> bytes.put((byte) (element.booleanValue() ? 1 : 0));
        case INT8, UINT8 -> bytes.put((byte) integer(datatype, element));
        case INT16, UINT16 -> bytes.putShort((short) integer(datatype, element));
        case INT32, UINT32 -> bytes.putInt((int) integer(datatype, element));
        case INT64, UINT64 -> bytes.putLong(integer(datatype, element));
        case FP32 -> bytes.putFloat(Float.parseFloat(element.asString()));
        case FP64 -> bytes.putDouble(element.doubleValue());
        case FP16, BF16, BYTES -> throw new IllegalArgumentException(datatype + " has no number in JSON");
      }
    }
    return bytes.flip();
  }

  /// The low bits of a number that the datatype has: -1 has those of a large unsigned number, and is none.
  private static long integer(Datatype datatype, JsonNode element) {
    BigInteger value = element.bigIntegerValue();
    boolean unsigned = datatype.name().startsWith("U");
    BigInteger range = BigInteger.TWO.pow(datatype.byteSize() * 8);
    BigInteger min = unsigned ? BigInteger.ZERO : range.shiftRight(1).negate();
    if (value.compareTo(min) < 0 || value.compareTo(min.add(range)) >= 0) {
      throw new AssertionError(value + " is no " + datatype);
    }
    return value.longValue();
  }
}
