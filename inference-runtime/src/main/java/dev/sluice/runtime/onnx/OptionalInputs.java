package dev.sluice.runtime.onnx;

import ai.onnxruntime.OrtSession;
import java.lang.reflect.Field;
import java.util.List;
import java.util.Set;

/// Lets runs set the inputs for which the model's file has a default.
///
/// ONNX Runtime has long allowed it. Its Java binding lists the required inputs when a session is made and refuses every
/// other name and number before native code is asked; so this puts the names on that list. Native code checks them
/// again. The fields are private; a test holds that they are there and that a default can be left and replaced.
final class OptionalInputs {
  private static final Field NAMES = field("inputNames");
  private static final Field COUNT = field("numInputs");

  private OptionalInputs() {}

  /// Before the session's first run. It must have a required input: the binding refuses a run without any otherwise.
  static void allow(OrtSession session, List<OnnxFile.Value> defaulted) {
    try {
      @SuppressWarnings("unchecked") // As the binding declares it.
      Set<String> names = (Set<String>) NAMES.get(session);
      for (OnnxFile.Value input : defaulted) {
        names.add(input.name());
      }
      COUNT.setLong(session, names.size());
    } catch (IllegalAccessException e) {
      throw unknown(e);
    }
  }

  private static Field field(String name) {
    try {
      Field field = OrtSession.class.getDeclaredField(name);
      field.setAccessible(true);
      return field;
    } catch (NoSuchFieldException e) {
      throw unknown(e);
    }
  }

  private static IllegalStateException unknown(ReflectiveOperationException e) {
    return new IllegalStateException(
        "this version of ONNX Runtime's Java binding is built differently from the one that Sluice knows", e);
  }
}
