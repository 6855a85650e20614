package dev.sluice.runtime.onnx;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtException.OrtErrorCode;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.BufferPool;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.TensorSpec;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Runs ONNX models in this process with ONNX Runtime on the CPU.
///
/// Each file is checked by [OnnxFile] before native code sees it. Custom operator libraries are never loaded.
public final class OnnxRuntime implements ModelRuntime {
  private static final Logger log = LoggerFactory.getLogger(OnnxRuntime.class);
  // ONNX Runtime 1.29's binding ends the JVM with a segmentation fault above 3972 to 3981 bytes of command line.
  private static final int COMMAND_LINE_BYTES_MAX = 3900;
  private static final Path COMMAND_LINE = Path.of("/proc/self/cmdline");
  private static final Pattern UNKNOWN_OPERATOR =
      Pattern.compile(
          "(?:No Op registered for|Could not find an implementation for|Fatal error:(?=.*is not a registered))"
              + " (?<name>[^(\\s]+)");

  private final OrtEnvironment environment;
  private final BufferPool buffers = BufferPool.shared();

  /// Starts ONNX Runtime, which all instances in a process share.
  public OnnxRuntime() {
    if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) {
      throw new IllegalStateException("the protocol's tensors are little-endian, and this machine is not");
    }
    requireShortCommandLine();
    // Failures come back as exceptions; the native logger would write them a second time, to standard error, on the
    // thread that runs the model.
    environment = OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL, "sluice");
  }

  @Override
  public Session load(Path versionFolder, ModelSettings settings) throws ModelLoadException {
    String label = label(versionFolder, settings.modelFilename());
    Path file = locate(versionFolder, settings.modelFilename(), label);
    List<OnnxFile.Output> declaredOutputs = OnnxFile.check(file, label);
    OrtSession session = createSession(file, label, settings);
    try {
      Signature signature = signature(session, declaredOutputs, label);
      return OnnxSession.create(environment, session, signature, buffers);
    } catch (OrtException e) {
      close(session, e);
      throw failure(e, file, label);
    } catch (ModelLoadException | RuntimeException e) {
      close(session, e);
      throw e;
    }
  }

  private OrtSession createSession(Path file, String label, ModelSettings settings) throws ModelLoadException {
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setExecutionMode(OrtSession.SessionOptions.ExecutionMode.SEQUENTIAL);
      options.setInterOpNumThreads(1);
      options.setIntraOpNumThreads(settings.execution().threads().intraOp().orElse(1));
      // Spinning threads are fast alone and slow together: a gateway has more calls than cores.
      options.addConfigEntry("session.intra_op.allow_spinning", "0");
      options.addConfigEntry("session.inter_op.allow_spinning", "0");
      return environment.createSession(file.toString(), options);
    } catch (OrtException e) {
      throw failure(e, file, label);
    }
  }

  // Inputs that an old model also lists as initialisers are defaults; ONNX Runtime leaves them out of its inputs.
  private static Signature signature(
      OrtSession session, List<OnnxFile.Output> declaredOutputs, String label)
      throws ModelLoadException, OrtException {
    List<TensorSpec> inputs = new ArrayList<>();
    for (NodeInfo input : session.getInputInfo().values()) {
      TensorSpec spec = spec(input);
      if (spec == null) {
        throw new ModelLoadException(
            "%s: input '%s' is %s, which the protocol cannot carry".formatted(label, input.getName(), input.getInfo()));
      }
      inputs.add(spec);
    }
    List<TensorSpec> outputs = new ArrayList<>();
    List<String> unsupportedOutputs = new ArrayList<>();
    outputs(session, declaredOutputs)
        .forEach(
            (name, spec) -> {
              if (spec.isPresent()) {
                outputs.add(spec.get());
              } else {
                unsupportedOutputs.add(name);
                log.warn("{}: output '{}' is left out, because the protocol carries plain tensors only", label, name);
              }
            });
    if (outputs.isEmpty()) {
      throw new ModelLoadException(
          "%s: the protocol carries tensors only, and it knows none of the outputs %s"
              .formatted(label, unsupportedOutputs));
    }
    return new Signature(inputs, outputs, unsupportedOutputs, 0);
  }

  private static Map<String, Optional<TensorSpec>> outputs(OrtSession session, List<OnnxFile.Output> declared)
      throws OrtException {
    Map<String, Optional<TensorSpec>> outputs = new LinkedHashMap<>();
    try {
      session.getOutputInfo().forEach((name, info) -> outputs.put(name, Optional.ofNullable(spec(info))));
    } catch (OrtException e) {
      // One optional output and the binding describes none of them; the file itself still does.
      if (e.getCode() != OrtErrorCode.ORT_NOT_IMPLEMENTED) {
        throw e;
      }
      declared.forEach(output -> outputs.put(output.name(), Optional.ofNullable(spec(output))));
    }
    return outputs;
  }

  private static @Nullable TensorSpec spec(NodeInfo node) {
    if (!(node.getInfo() instanceof TensorInfo tensor)) {
      return null;
    }
    Datatype datatype = ElementTypes.of(tensor.onnxType);
    return datatype == null ? null : new TensorSpec(node.getName(), datatype, Shape.of(tensor.getShape()));
  }

  private static @Nullable TensorSpec spec(OnnxFile.Output output) {
    Datatype datatype = ElementTypes.of(output.elementType());
    return datatype == null ? null : new TensorSpec(output.name(), datatype, output.shape());
  }

  /// `<model>/<version>/model.onnx`: what messages call the file, wherever the repository lies.
  private static String label(Path versionFolder, String name) {
    int parts = versionFolder.getNameCount();
    return versionFolder.subpath(Math.max(0, parts - 2), parts).resolve(name).toString();
  }

  // The file is opened by its real path: what was checked and what is loaded must not be told apart by a link.
  private static Path locate(Path versionFolder, String name, String label) throws ModelLoadException {
    try {
      Path folder = versionFolder.toRealPath();
      Path file = folder.resolve(name);
      if (Files.isDirectory(file)) {
        // A folder of that name holds the model and its external data, under the usual name as in Triton.
        file = file.resolve(ModelSettings.MODEL_FILENAME);
      }
      Path real = file.toRealPath();
      if (!real.startsWith(folder)) {
        throw new ModelLoadException("%s is a link that leaves its version's folder".formatted(label));
      }
      if (!Files.isRegularFile(real)) {
        throw new ModelLoadException("%s is not a regular file".formatted(label));
      }
      return real;
    } catch (NoSuchFileException e) {
      throw new ModelLoadException("%s does not exist".formatted(label), e);
    } catch (IOException e) {
      throw new ModelLoadException("%s cannot be read: %s".formatted(label, e.getClass().getSimpleName()), e);
    }
  }

  private static ModelLoadException failure(OrtException e, Path file, String label) {
    String message = OnnxSession.messageOf(e).replace(file.toString(), label);
    Matcher operator = UNKNOWN_OPERATOR.matcher(message);
    if (operator.find()) {
      return new ModelLoadException(
          "%s uses the operator '%s', which ONNX Runtime does not know".formatted(label, operator.group("name")), e);
    }
    return new ModelLoadException("%s cannot be loaded: %s".formatted(label, message), e);
  }

  private static void close(OrtSession session, Exception because) {
    try {
      session.close();
    } catch (OrtException e) {
      because.addSuppressed(e);
    }
  }

  private static void requireShortCommandLine() {
    try {
      int length = Files.exists(COMMAND_LINE) ? Files.readAllBytes(COMMAND_LINE).length : 0;
      if (length > COMMAND_LINE_BYTES_MAX) {
        throw new IllegalStateException(
            ("the process's command line has %d bytes, and ONNX Runtime ends the JVM above about %d; "
                    + "shorten it with a wildcard class path, an @argfile or a jar manifest")
                .formatted(length, COMMAND_LINE_BYTES_MAX));
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
