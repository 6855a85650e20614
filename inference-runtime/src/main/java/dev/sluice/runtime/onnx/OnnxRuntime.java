package dev.sluice.runtime.onnx;

import ai.onnxruntime.NodeInfo;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtException.OrtErrorCode;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import dev.sluice.runtime.model.ExecutionSettings;
import dev.sluice.runtime.model.ExecutionSettings.Device;
import dev.sluice.runtime.model.ModelExecutionException;
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
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Runs ONNX models in this process with ONNX Runtime, on the CPU or on NVIDIA GPUs.
///
/// Each file is checked by [OnnxFile] before native code sees it. Custom operator libraries are never loaded.
public final class OnnxRuntime implements ModelRuntime {
  private static final Logger log = LoggerFactory.getLogger(OnnxRuntime.class);
  private static final List<Integer> FIRST_GPU = List.of(0);
  private static final Pattern UNKNOWN_OPERATOR =
      Pattern.compile("(?:No Op registered for|Fatal error:(?=.*is not a registered)) (?<name>[^(\\s]+)");
  private static final Pattern UNKNOWN_VARIANT =
      Pattern.compile("Could not find an implementation for (?<name>[^(\\s]+)\\((?<version>\\d+)\\)");
  private static final Pattern NEWER_FORMAT =
      Pattern.compile("Unsupported model IR version: (?<has>\\d+), max supported IR version: (?<known>\\d+)");
  private static final Pattern NEWER_OPERATORS =
      Pattern.compile("Opset (?<has>\\d+) is under development.* domain (?<domain>\\S+) is till opset (?<known>\\d+)");

  private final OnnxOptions options;
  private final OrtEnvironment environment;
  private final BufferPool buffers = BufferPool.shared();
  private final GpuHealth gpus = new GpuHealth();

  /// Starts ONNX Runtime, which all instances in a process share.
  public OnnxRuntime() {
    this(OnnxOptions.defaults());
  }

  /// As above; every later instance in the process has to ask for the same shared threads or none.
  public OnnxRuntime(OnnxOptions options) {
    this.options = options;
    this.environment = OnnxEnvironment.start(options);
  }

  @Override
  public Session load(Path versionFolder, ModelSettings settings) throws ModelLoadException {
    String label = label(versionFolder, settings.modelFilename());
    Path file = locate(versionFolder, settings.modelFilename(), label);
    OnnxFile.Declared declared = OnnxFile.check(file, label);
    requireCarried(declared.inputs(), label);
    List<NativeEngine> engines = open(file, label, settings.execution());
    try {
      OrtSession first = engines.getFirst().session();
      List<OnnxFile.Value> optional = first.getNumInputs() == 0 ? List.of() : declared.defaulted();
      Signature signature = signature(first, declared, optional, label);
      for (NativeEngine engine : engines) {
        OptionalInputs.allow(engine.session(), optional);
      }
      return OnnxSession.create(environment, engines(engines, file, optional, label, settings), signature, buffers);
    } catch (OrtException e) {
      close(engines, e);
      throw failure(e, file, label);
    } catch (ModelLoadException | RuntimeException e) {
      close(engines, e);
      throw e;
    }
  }

  @Override
  public boolean startsThreads(ModelSettings settings) {
    ExecutionSettings.Threads threads = settings.execution().threads();
    boolean ownThreads =
        threads.parallel() || threads.intraOp().orElse(options.threads().intraOp().orElse(1)) != 1;
    return (ownThreads && !options.sharedThreads()) || asked(settings.execution()) != Device.CPU;
  }

  @Override
  public Optional<String> fault() {
    return gpus.fault();
  }

  @Override
  public void onFaultChange(Runnable listener) {
    gpus.onChange(listener);
  }

  // --- devices ------------------------------------------------------------------------------------------------------

  private Device asked(ExecutionSettings settings) {
    Device device = settings.placement().device();
    return device == null ? options.device() : device;
  }

  private List<NativeEngine> open(Path file, String label, ExecutionSettings settings) throws ModelLoadException {
    return switch (asked(settings)) {
      case CPU -> List.of(openOnCpu(file, label, settings));
      case GPU -> openOnGpus(file, label, settings);
      case AUTO -> {
        try {
          yield openOnGpus(file, label, settings);
        } catch (ModelLoadException e) {
          // What is the model's own fault is one on the CPU too, and then told as that.
          NativeEngine cpu = openOnCpu(file, label, settings);
          log.warn("{}; it runs on the CPU", e.getMessage());
          yield List.of(cpu);
        }
      }
    };
  }

  private NativeEngine openOnCpu(Path file, String label, ExecutionSettings settings) throws ModelLoadException {
    try {
      return NativeEngine.open(environment, file, settings, options, Engine.ON_CPU);
    } catch (OrtException e) {
      throw failure(e, file, label);
    }
  }

  private List<NativeEngine> openOnGpus(Path file, String label, ExecutionSettings settings)
      throws ModelLoadException {
    String lost = gpus.lost();
    if (lost != null) {
      throw new ModelLoadException("%s cannot be loaded on a GPU until a restart: %s".formatted(label, lost));
    }
    List<Integer> numbers = settings.placement().gpus();
    List<NativeEngine> engines = new ArrayList<>();
    for (int gpu : numbers.isEmpty() ? FIRST_GPU : numbers) {
      try {
        engines.add(NativeEngine.open(environment, file, settings, options, gpu));
      } catch (OrtException e) {
        close(engines, e);
        if (isOfTheModel(e)) {
          throw failure(e, file, label);
        }
        throw new ModelLoadException(
            "%s cannot be loaded on GPU %d: %s".formatted(label, gpu, OnnxErrors.whyNoGpu(e)), e);
      }
    }
    return engines;
  }

  private Engines engines(
      List<NativeEngine> engines,
      Path file,
      List<OnnxFile.Value> optional,
      String label,
      ModelSettings settings)
      throws ModelLoadException {
    Device asked = asked(settings.execution());
    boolean mayMove = asked == Device.AUTO && engines.getFirst().gpu() != Engine.ON_CPU;
    Stamp stamp = Stamp.of(file, label);
    Engines.CpuOpener opener =
        () -> {
          if (!stamp.isOf(file)) {
            throw new ModelExecutionException(
                ModelExecutionException.Kind.DEVICE_LOST,
                "the GPUs cannot be used any more, and %s has changed since it was loaded".formatted(label));
          }
          NativeEngine cpu = NativeEngine.open(environment, file, settings.execution(), options, Engine.ON_CPU);
          OptionalInputs.allow(cpu.session(), optional);
          return cpu;
        };
    return new Engines(label, asked, List.copyOf(engines), gpus, mayMove ? opener : null);
  }

  /// By what a file that was replaced since can be told.
  private record Stamp(long size, FileTime modified, @Nullable Object key) {
    static Stamp of(Path file, String label) throws ModelLoadException {
      try {
        return of(file);
      } catch (IOException e) {
        throw new ModelLoadException("%s cannot be read: %s".formatted(label, e.getClass().getSimpleName()), e);
      }
    }

    boolean isOf(Path file) {
      try {
        return equals(of(file));
      } catch (IOException e) {
        return false;
      }
    }

    private static Stamp of(Path file) throws IOException {
      BasicFileAttributes attributes = Files.readAttributes(file, BasicFileAttributes.class);
      return new Stamp(attributes.size(), attributes.lastModifiedTime(), attributes.fileKey());
    }
  }

  // --- the model ----------------------------------------------------------------------------------------------------

  // Before ONNX Runtime looks for operators on such types, and blames those.
  private static void requireCarried(List<OnnxFile.Value> inputs, String label) throws ModelLoadException {
    for (OnnxFile.Value input : inputs) {
      if (input.elementType() != 0 && ElementTypes.of(input.elementType()) == null) {
        throw new ModelLoadException(
            "%s: input '%s' is %s, which the protocol cannot carry"
                .formatted(label, input.name(), ElementTypes.onnxName(input.elementType())));
      }
    }
  }

  // Inputs that have a default in the file are left out of ONNX Runtime's own list.
  private static Signature signature(
      OrtSession session, OnnxFile.Declared declared, List<OnnxFile.Value> optional, String label)
      throws ModelLoadException, OrtException {
    List<TensorSpec> inputs = new ArrayList<>();
    for (NodeInfo input : inputs(session, declared, label)) {
      TensorSpec spec = spec(input, declared);
      if (spec == null) {
        throw new ModelLoadException(
            "%s: input '%s' is %s, which the protocol cannot carry".formatted(label, input.getName(), input.getInfo()));
      }
      inputs.add(spec);
    }
    for (OnnxFile.Value input : optional) {
      TensorSpec spec = spec(input);
      if (spec != null) {
        inputs.add(new TensorSpec(spec.name(), spec.datatype(), spec.shape(), true));
      }
    }
    List<TensorSpec> outputs = new ArrayList<>();
    List<String> unsupportedOutputs = new ArrayList<>();
    outputs(session, declared)
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

  private static Collection<NodeInfo> inputs(OrtSession session, OnnxFile.Declared declared, String label)
      throws ModelLoadException, OrtException {
    try {
      return session.getInputInfo().values();
    } catch (OrtException e) {
      // One input of an optional type and the binding describes none of them, nor could a run leave it out.
      for (OnnxFile.Value input : declared.inputs()) {
        if (input.elementType() == 0) {
          throw new ModelLoadException(
              "%s: input '%s' is no plain tensor, and the protocol cannot carry anything else"
                  .formatted(label, input.name()),
              e);
        }
      }
      throw e;
    }
  }

  private static Map<String, Optional<TensorSpec>> outputs(OrtSession session, OnnxFile.Declared declared)
      throws OrtException {
    Map<String, Optional<TensorSpec>> outputs = new LinkedHashMap<>();
    try {
      session.getOutputInfo().forEach((name, info) -> outputs.put(name, Optional.ofNullable(spec(info, declared))));
    } catch (OrtException e) {
      // One optional output and the binding describes none of them; the file itself still does.
      if (e.getCode() != OrtErrorCode.ORT_NOT_IMPLEMENTED) {
        throw e;
      }
      declared.outputs().forEach(output -> outputs.put(output.name(), Optional.ofNullable(spec(output))));
    }
    return outputs;
  }

  private static @Nullable TensorSpec spec(NodeInfo node, OnnxFile.Declared declared) {
    if (!(node.getInfo() instanceof TensorInfo tensor)) {
      return null;
    }
    Datatype datatype = ElementTypes.of(tensor.onnxType);
    Shape shape = Shape.of(tensor.getShape());
    // The binding tells a tensor of any rank as a scalar.
    boolean anyRank = shape.rank() == 0 && declared.isOfAnyRank(node.getName());
    return datatype == null ? null : new TensorSpec(node.getName(), datatype, anyRank ? Shape.ofAnyRank() : shape);
  }

  private static @Nullable TensorSpec spec(OnnxFile.Value output) {
    Datatype datatype = ElementTypes.of(output.elementType());
    return datatype == null ? null : new TensorSpec(output.name(), datatype, output.shape());
  }

  // --- the file -----------------------------------------------------------------------------------------------------

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

  private ModelLoadException failure(OrtException e, Path file, String label) {
    String text = OnnxErrors.textOf(e).replace(file.toString(), label);
    return new ModelLoadException("%s %s".formatted(label, fault(text)), e);
  }

  private String fault(String message) {
    Matcher operator = UNKNOWN_OPERATOR.matcher(message);
    if (operator.find()) {
      return "uses the operator '%s', which ONNX Runtime does not know".formatted(operator.group("name"));
    }
    Matcher variant = UNKNOWN_VARIANT.matcher(message);
    if (variant.find()) {
      return "uses the operator '%s' of opset %s on types for which ONNX Runtime does not have it"
          .formatted(variant.group("name"), variant.group("version"));
    }
    Matcher format = NEWER_FORMAT.matcher(message);
    if (format.find()) {
      return "has IR version %s; ONNX Runtime %s reads up to %s"
          .formatted(format.group("has"), environment.getVersion(), format.group("known"));
    }
    Matcher operators = NEWER_OPERATORS.matcher(message);
    if (operators.find()) {
      return "is written for opset %s of %s; ONNX Runtime %s has up to %s"
          .formatted(operators.group("has"), operators.group("domain"), environment.getVersion(), operators.group("known"));
    }
    return "cannot be loaded: " + OnnxErrors.clipped(message);
  }

  // What these complain of is in the file, whatever it is loaded on.
  private static boolean isOfTheModel(OrtException e) {
    return switch (e.getCode()) {
      case ORT_INVALID_GRAPH, ORT_INVALID_PROTOBUF, ORT_NO_MODEL, ORT_NO_SUCHFILE -> true;
      default -> {
        String message = OnnxErrors.textOf(e);
        yield NEWER_FORMAT.matcher(message).find() || NEWER_OPERATORS.matcher(message).find();
      }
    };
  }

  private static void close(List<NativeEngine> engines, Exception because) {
    for (NativeEngine engine : engines) {
      try {
        engine.close();
      } catch (OrtException e) {
        because.addSuppressed(e);
      }
    }
  }
}
