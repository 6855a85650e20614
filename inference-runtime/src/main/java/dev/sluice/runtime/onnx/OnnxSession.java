package dev.sluice.runtime.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import dev.sluice.runtime.model.DeviceUse;
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
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// One ONNX model in memory; ONNX Runtime lets any number of threads run it at the same time.
///
/// Bytes travel twice: from the request into a direct buffer that native code reads in place, and from native memory
/// into the answer's array. Everything native that a run makes is closed before it returns, or kept in a [RunSlot] for the
/// next one.
final class OnnxSession implements Session {
  private static final Logger log = LoggerFactory.getLogger(OnnxSession.class);

  /// What keeping native tensors saves is some microseconds; the run that proves a slot is not to be felt.
  private static final long SLOT_RUN_NANOS_MAX = 1_000_000;

  private final OrtEnvironment environment;
  private final Engines engines;
  private final Signature signature;
  private final BufferPool buffers;
  private final Map<Datatype, UnsignedCast> casts;
  private final RunSlots slots = new RunSlots();

  private OnnxSession(
      OrtEnvironment environment,
      Engines engines,
      Signature signature,
      BufferPool buffers,
      Map<Datatype, UnsignedCast> casts) {
    this.environment = environment;
    this.engines = engines;
    this.signature = signature;
    this.buffers = buffers;
    this.casts = casts;
  }

  /// Takes over the engines, unless it throws.
  static OnnxSession create(OrtEnvironment environment, Engines engines, Signature signature, BufferPool buffers)
      throws OrtException {
    Map<Datatype, UnsignedCast> casts = new EnumMap<>(Datatype.class);
    for (TensorSpec input : signature.inputs()) {
      if (UnsignedCast.needs(input.datatype()) && !casts.containsKey(input.datatype())) {
        casts.put(input.datatype(), new UnsignedCast(environment, input.datatype()));
      }
    }
    return new OnnxSession(environment, engines, signature, buffers, casts);
  }

  @Override
  public Signature signature() {
    return signature;
  }

  @Override
  public DeviceUse devices() {
    return engines.use();
  }

  @Override
  public List<Tensor> run(List<Tensor> inputs, List<String> outputs, RunControl control)
      throws ModelExecutionException {
    try {
      Engine engine = engines.next();
      try {
        return run(engine, inputs, outputs, control);
      } catch (OrtException e) {
        // The caller's call goes on where the model goes on.
        if (!control.isTerminated() && isLost(engine, e) && engines.lost(OnnxErrors.numbered(e))) {
          return run(engines.next(), inputs, outputs, control);
        }
        throw e;
      }
    } catch (OrtException e) {
      throw control.isTerminated() ? terminated() : failure(e);
    }
  }

  private List<Tensor> run(Engine engine, List<Tensor> inputs, List<String> outputs, RunControl control)
      throws OrtException, ModelExecutionException {
    RunSlot slot = engine.gpu() == Engine.ON_CPU ? slots.take(inputs, outputs) : null;
    if (slot != null) {
      List<Tensor> answer = tryRunIn(slot, inputs, control);
      if (answer != null) {
        return answer;
      }
    }
    long startedNanos = System.nanoTime();
    List<Tensor> answer =
        control == RunControl.none()
            ? run(engine, inputs, outputs, (OrtSession.RunOptions) null)
            : runUnder(control, engine, inputs, outputs);
    if (slot != null) {
      slots.outputsVary(); // what it failed on was the slot itself
    } else if (System.nanoTime() - startedNanos < SLOT_RUN_NANOS_MAX && slots.areWorthIt(inputs, outputs)) {
      leaveSlot(engine, inputs, outputs, answer);
    }
    return answer;
  }

  /// A slot that has shown that it gives the answer that the model gave without it. The caller has its answer, whatever happens here.
  private void leaveSlot(Engine engine, List<Tensor> inputs, List<String> outputs, List<Tensor> answer) {
    RunSlot slot = null;
    try {
      slot = RunSlot.after(engine, buffers, inputs, answer);
      if (slot == null) {
        return;
      }
      if (slots.areProven(outputs) || (slot.repeats(inputs, answer) && slots.proven(outputs))) {
        slots.give(slot);
        return;
      }
    } catch (OrtException | RuntimeException | OutOfMemoryError e) {
      log.debug("no native tensors are kept for this model", e);
    }
    if (slot != null) {
      slot.close();
    }
    slots.outputsVary();
  }

  /// Null if the run failed: perhaps because its outputs are not what the slot has room for, so that it has to be tried without.
  private @Nullable List<Tensor> tryRunIn(RunSlot slot, List<Tensor> inputs, RunControl control)
      throws OrtException, ModelExecutionException {
    boolean whole = false;
    try {
      List<Tensor> answer = control == RunControl.none() ? slot.run(inputs, null) : runUnder(control, slot, inputs);
      whole = control == RunControl.none() || !control.isTerminated();
      return answer;
    } catch (OrtException e) {
      if (control.isTerminated()) {
        throw e;
      }
      return null;
    } finally {
      if (whole) {
        slots.give(slot);
      } else {
        slot.close();
      }
    }
  }

  private static List<Tensor> runUnder(RunControl control, RunSlot slot, List<Tensor> inputs)
      throws OrtException, ModelExecutionException {
    OrtSession.RunOptions options = slot.options();
    if (!control.begin(slot.stop())) {
      throw terminated();
    }
    try {
      return slot.run(inputs, options);
    } finally {
      control.end(slot.stop());
    }
  }

  private List<Tensor> runUnder(RunControl control, Engine engine, List<Tensor> inputs, List<String> outputs)
      throws OrtException, ModelExecutionException {
    try (OrtSession.RunOptions options = engine.runOptions()) {
      Runnable stop = () -> terminate(options);
      if (!control.begin(stop)) {
        throw terminated();
      }
      try {
        return run(engine, inputs, outputs, options);
      } finally {
        control.end(stop);
      }
    }
  }

  private List<Tensor> run(
      Engine engine, List<Tensor> inputs, List<String> outputs, OrtSession.@Nullable RunOptions options)
      throws OrtException, ModelExecutionException {
    Set<String> names = new LinkedHashSet<>(outputs);
    try (InputTensors tensors = new InputTensors(environment, buffers, casts, inputs);
        OrtSession.Result result = engine.run(tensors.byName(), names, options)) {
      List<Tensor> answer = new ArrayList<>(outputs.size());
      int index = 0;
      for (String name : names) {
        answer.add(output(name, (OnnxTensor) result.get(index++)));
      }
      return answer;
    }
  }

  private Tensor output(String name, OnnxTensor tensor) throws OrtException, ModelExecutionException {
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
      slots.close();
      engines.close();
      for (UnsignedCast cast : casts.values()) {
        cast.close();
      }
    } catch (OrtException e) {
      throw new IllegalStateException("a model could not be freed: " + OnnxErrors.messageOf(e), e);
    }
  }

  static void terminate(OrtSession.RunOptions options) {
    try {
      options.setTerminate(true);
    } catch (OrtException e) {
      throw new IllegalStateException("a run could not be terminated: " + OnnxErrors.messageOf(e), e);
    }
  }

  private static ModelExecutionException terminated() {
    return new ModelExecutionException(Kind.TERMINATED, "the run was terminated by its caller");
  }

  // What a CPU session reports of a device is not to be believed.
  private static boolean isLost(Engine engine, OrtException e) {
    return engine.gpu() != Engine.ON_CPU && OnnxErrors.meaning(e) == OnnxErrors.Meaning.DEVICE_LOST;
  }

  private static ModelExecutionException failure(OrtException e) {
    Kind kind =
        switch (OnnxErrors.meaning(e)) {
          case FAILED -> Kind.FAILED;
          case OUT_OF_MEMORY -> Kind.OUT_OF_MEMORY;
          case DEVICE_LOST -> Kind.DEVICE_LOST;
        };
    return new ModelExecutionException(kind, OnnxErrors.numbered(e));
  }
}
