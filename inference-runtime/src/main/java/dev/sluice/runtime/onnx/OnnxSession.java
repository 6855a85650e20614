package dev.sluice.runtime.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelExecutionException.Kind;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.BufferPool;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// One ONNX model in memory; ONNX Runtime lets any number of threads run it at the same time.
///
/// Bytes travel twice: from the request into a direct buffer that native code reads in place, and from native memory
/// into the answer's array. Everything native that a run makes is closed before it returns.
final class OnnxSession implements Session {
  private static final int MESSAGE_LENGTH_MAX = 500;
  /// A file of C++ with its line, and the function there with all its parameters.
  private static final Pattern SOURCE_PLACE = Pattern.compile(" ?/onnxruntime_src/\\S+:\\d+ [^()]*\\(.*?\\)(?: const)? ");

  private final OrtEnvironment environment;
  private final OrtSession session;
  private final Signature signature;
  private final BufferPool buffers;
  private final Map<Datatype, UnsignedCast> casts;

  private OnnxSession(
      OrtEnvironment environment,
      OrtSession session,
      Signature signature,
      BufferPool buffers,
      Map<Datatype, UnsignedCast> casts) {
    this.environment = environment;
    this.session = session;
    this.signature = signature;
    this.buffers = buffers;
    this.casts = casts;
  }

  /// Takes over the native session, unless it throws.
  static OnnxSession create(
      OrtEnvironment environment, OrtSession session, Signature signature, BufferPool buffers) throws OrtException {
    Map<Datatype, UnsignedCast> casts = new EnumMap<>(Datatype.class);
    for (TensorSpec input : signature.inputs()) {
      if (UnsignedCast.needs(input.datatype()) && !casts.containsKey(input.datatype())) {
        casts.put(input.datatype(), new UnsignedCast(environment, input.datatype()));
      }
    }
    return new OnnxSession(environment, session, signature, buffers, casts);
  }

  @Override
  public Signature signature() {
    return signature;
  }

  @Override
  public List<Tensor> run(List<Tensor> inputs, List<String> outputs, RunControl control)
      throws ModelExecutionException {
    try {
      return control == RunControl.none()
          ? run(inputs, outputs, (OrtSession.RunOptions) null)
          : runUnder(control, inputs, outputs);
    } catch (OrtException e) {
      if (control.isTerminated()) {
        throw terminated();
      }
      throw new ModelExecutionException(Kind.FAILED, messageOf(e));
    }
  }

  private List<Tensor> runUnder(RunControl control, List<Tensor> inputs, List<String> outputs)
      throws OrtException, ModelExecutionException {
    try (OrtSession.RunOptions options = new OrtSession.RunOptions()) {
      Runnable stop = () -> terminate(options);
      if (!control.begin(stop)) {
        throw terminated();
      }
      try {
        return run(inputs, outputs, options);
      } finally {
        control.end(stop);
      }
    }
  }

  private List<Tensor> run(List<Tensor> inputs, List<String> outputs, OrtSession.@Nullable RunOptions options)
      throws OrtException, ModelExecutionException {
    Set<String> names = new LinkedHashSet<>(outputs);
    try (InputTensors tensors = new InputTensors(environment, buffers, casts, inputs);
        OrtSession.Result result = session.run(tensors.byName(), names, options)) {
      List<Tensor> answer = new ArrayList<>(outputs.size());
      int index = 0;
      for (String name : names) {
        answer.add(output(name, (OnnxTensor) result.get(index++)));
      }
      return answer;
    }
  }

  private Tensor output(String name, OnnxTensor tensor) throws ModelExecutionException {
    Datatype datatype = ElementTypes.of(tensor.getInfo().onnxType);
    if (datatype == null) {
      throw new ModelExecutionException(
          Kind.FAILED, "output '%s' is %s, which the protocol cannot carry".formatted(name, tensor.getInfo()));
    }
    ByteBuffer bytes =
        datatype == Datatype.BYTES
            ? NativeStrings.read(tensor)
            : tensor.getByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    return new Tensor(name, datatype, Shape.of(tensor.getInfo().getShape()), bytes);
  }

  @Override
  public void close() {
    try {
      session.close();
      for (UnsignedCast cast : casts.values()) {
        cast.close();
      }
    } catch (OrtException e) {
      throw new IllegalStateException("a model could not be freed: " + messageOf(e), e);
    }
  }

  private static void terminate(OrtSession.RunOptions options) {
    try {
      options.setTerminate(true);
    } catch (OrtException e) {
      throw new IllegalStateException("a run could not be terminated: " + messageOf(e), e);
    }
  }

  private static ModelExecutionException terminated() {
    return new ModelExecutionException(Kind.TERMINATED, "the run was terminated by its caller");
  }

  /// ONNX Runtime's message on one line, without the prefix that repeats its code and the places in its sources, which
  /// would leave no room for the fault itself.
  static String messageOf(OrtException e) {
    String message = e.getMessage() == null ? e.getCode().toString() : e.getMessage();
    int start = message.indexOf("message: ");
    String fault = start < 0 ? message : message.substring(start + "message: ".length());
    String text = SOURCE_PLACE.matcher(fault.strip().replaceAll("\\s+", " ")).replaceAll(" ").strip();
    return text.length() > MESSAGE_LENGTH_MAX ? text.substring(0, MESSAGE_LENGTH_MAX) + "..." : text;
  }
}
