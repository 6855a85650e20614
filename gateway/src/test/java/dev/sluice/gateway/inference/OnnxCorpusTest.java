package dev.sluice.gateway.inference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import ai.onnxruntime.OrtException;
import dev.sluice.gateway.StartFailure;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.Wire;
import dev.sluice.proto.control.v1.ListModelsRequest;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.testing.BareOnnxRuntime;
import dev.sluice.runtime.testing.OnnxDeclarations;
import dev.sluice.runtime.testing.OnnxDeclarations.Value;
import dev.sluice.runtime.testing.OnnxTestData;
import dev.sluice.runtime.testing.TensorAssertions;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/// ONNX's own conformance cases: whatever ONNX Runtime answers as expected comes through the gateway bit for bit, over
/// every wire that has a form for it.
///
/// Runs where a copy of `onnx/backend/test/data` is at hand, named by `-Dsluice.onnx.corpus=FOLDER`. (The node cases
/// are part of ONNX's source tree up to August 2026; later ones make them while they run.)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class OnnxCorpusTest {

  private static final String CORPUS = "sluice.onnx.corpus";
  private static final List<String> SUITES = List.of("node", "simple", "pytorch-converted", "pytorch-operator");

  /// As ONNX's own runner has them.
  private static final double RELATIVE = 1e-3;
  private static final double ABSOLUTE = 1e-7;

  /// Models served by one gateway at a time, so that memory stays that of a small server.
  private static final int MODELS_AT_A_TIME = 100;

  private enum Verdict {
    PASSED,
    PASSED_WITHIN_TOLERANCE,
    FAILED,
    NOT_CARRIED,
    NOT_PASSED_BY_ONNX_RUNTIME
  }

  private record Outcome(Verdict verdict, String reason) {}

  /// One data set: what goes in, what ONNX expects, what ONNX Runtime answers, and whether it answers so every time.
  private record DataSet(
      String name, List<Tensor> inputs, List<Tensor> expected, List<Tensor> direct, boolean repeatable) {}

  private record Case(Path folder, String model, OnnxDeclarations declared, List<DataSet> sets) {}

  private final Map<String, Outcome> outcomes = new TreeMap<>();

  @SuppressWarnings("NullAway.Init") // before the first test
  private Path scratch;

  @BeforeAll
  void scratch(@TempDir Path folder) {
    this.scratch = folder;
  }

  @Test
  void whatOnnxRuntimePassesAndTheProtocolCarriesPassesThroughTheGateway() throws Exception {
    String corpus = System.getProperty(CORPUS, "");
    assumeTrue(!corpus.isEmpty(), "no copy of onnx/backend/test/data: -D" + CORPUS + "=FOLDER");
    List<Path> folders = folders(Path.of(corpus));
    assertThat(folders).as("cases below %s", corpus).hasSizeGreaterThan(1_000);

    for (int from = 0; from < folders.size(); from += MODELS_AT_A_TIME) {
      List<Case> cases = new ArrayList<>();
      for (Path folder : folders.subList(from, Math.min(folders.size(), from + MODELS_AT_A_TIME))) {
        Case passing = whenOnnxRuntimePasses(folder);
        if (passing != null) {
          cases.add(passing);
        }
      }
      throughTheGateway(cases, from);
    }

    report(folders.size());
    assertThat(names(Verdict.FAILED)).as("cases that ONNX Runtime passes and the gateway fails").isEmpty();
    assertThat(outcomes).hasSameSizeAs(folders);
    assertThat(names(Verdict.PASSED)).as("cases passed").hasSizeGreaterThan(1_000);
  }

  private static List<Path> folders(Path corpus) throws IOException {
    List<Path> folders = new ArrayList<>();
    for (String suite : SUITES) {
      try (Stream<Path> cases = Files.list(corpus.resolve(suite))) {
        cases.filter(folder -> Files.exists(folder.resolve("model.onnx"))).sorted().forEach(folders::add);
      }
    }
    return folders;
  }

  // --- ONNX Runtime itself -------------------------------------------------------------------------------------------

  private @Nullable Case whenOnnxRuntimePasses(Path folder) throws IOException {
    String model = folder.getName(folder.getNameCount() - 2) + "." + folder.getFileName();
    OnnxDeclarations declared = OnnxDeclarations.read(folder.resolve("model.onnx"));
    String uncarried = uncarried(declared);
    if (uncarried != null) {
      outcomes.put(model, new Outcome(Verdict.NOT_CARRIED, uncarried));
      return null;
    }
    try (BareOnnxRuntime onnx = BareOnnxRuntime.of(folder.resolve("model.onnx"))) {
      List<DataSet> sets = new ArrayList<>();
      for (Path data : dataSets(folder)) {
        List<Tensor> inputs = read(data, "input_", declared.inputs());
        List<Tensor> expected = read(data, "output_", declared.outputs());
        List<String> names = expected.stream().map(Tensor::name).toList();
        List<Tensor> direct = onnx.run(inputs, names);
        String difference = difference(direct, expected, false, RELATIVE, ABSOLUTE);
        if (difference != null) {
          outcomes.put(model, new Outcome(Verdict.NOT_PASSED_BY_ONNX_RUNTIME, "differs: " + difference));
          return null;
        }
        boolean repeatable = difference(onnx.run(inputs, names), direct, true, 0, 0) == null;
        sets.add(new DataSet(data.getFileName().toString(), inputs, expected, direct, repeatable));
      }
      assertThat(sets).as("data sets of %s", folder).isNotEmpty();
      return new Case(folder, model, declared, sets);
    } catch (OrtException e) {
      String message = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
      outcomes.put(model, new Outcome(Verdict.NOT_PASSED_BY_ONNX_RUNTIME, message));
      return null;
    } catch (RuntimeException e) {
      outcomes.put(model, new Outcome(Verdict.FAILED, "its test data cannot be read: " + e));
      return null;
    }
  }

  /// Why no request can be made of this case, or null. An output that the protocol lacks hides no other.
  private static @Nullable String uncarried(OnnxDeclarations declared) {
    for (Value input : declared.inputs()) {
      if (input.datatype() == null) {
        return "input: " + input.type();
      }
    }
    return declared.outputs().stream().anyMatch(output -> output.datatype() != null)
        ? null
        : "every output: "
            + declared.outputs().stream().map(Value::type).distinct().collect(Collectors.joining(", "));
  }

  private static List<Path> dataSets(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.filter(file -> file.getFileName().toString().startsWith("test_data_set_")).sorted().toList();
    }
  }

  /// The n-th file is the n-th value of the graph, whatever name is inside; those of the protocol's types.
  private static List<Tensor> read(Path data, String prefix, List<Value> values) {
    List<Tensor> tensors = new ArrayList<>();
    for (int i = 0; i < values.size(); i++) {
      Path file = data.resolve(prefix + i + ".pb");
      if (values.get(i).datatype() != null && Files.exists(file)) {
        Tensor tensor = OnnxTestData.read(file);
        tensors.add(new Tensor(values.get(i).name(), tensor.datatype(), tensor.shape(), tensor.bytes()));
      }
    }
    return tensors;
  }

  // --- the gateway ---------------------------------------------------------------------------------------------------

  private void throughTheGateway(List<Case> cases, int number) throws IOException, StartFailure {
    if (cases.isEmpty()) {
      return;
    }
    Path models = scratch.resolve("models-" + number);
    for (Case one : cases) {
      Path version = Files.createDirectories(models.resolve(one.model).resolve("1"));
      Files.copy(one.folder.resolve("model.onnx"), version.resolve("model.onnx"));
    }
    try (RunningGateway gateway = RunningGateway.start(models, scratch.resolve("data-" + number))) {
      for (Case one : cases) {
        outcomes.put(one.model, through(gateway, one));
      }
    }
    delete(models);
  }

  private static Outcome through(RunningGateway gateway, Case one) {
    try {
      Verdict verdict = Verdict.PASSED;
      for (DataSet set : one.sets) {
        for (Wire wire : wires(set)) {
          String difference = ask(gateway, wire, one, set, true);
          if (difference != null && !set.repeatable) {
            verdict = Verdict.PASSED_WITHIN_TOLERANCE;
            difference = ask(gateway, wire, one, set, false);
          }
          if (difference != null) {
            return new Outcome(Verdict.FAILED, "%s, %s: %s".formatted(set.name, wire, difference));
          }
        }
      }
      return new Outcome(verdict, "");
    } catch (StatusRuntimeException e) {
      return new Outcome(Verdict.FAILED, e.getStatus().getDescription() + loadFailure(gateway, one.model));
    } catch (AssertionError e) {
      return new Outcome(Verdict.FAILED, e.getMessage() + loadFailure(gateway, one.model));
    }
  }

  /// Those with a form for all that is sent and all that is answered; raw contents over gRPC are always among them.
  private static List<Wire> wires(DataSet set) {
    return Arrays.stream(Wire.values())
        .filter(wire -> set.inputs.stream().allMatch(input -> carries(wire, input)))
        .filter(wire -> set.direct.stream().allMatch(output -> wire.carries(output.datatype())))
        .toList();
  }

  private static boolean carries(Wire wire, Tensor tensor) {
    return wire.carries(tensor.datatype()) && (wire.carriesEveryFloat() || TensorAssertions.isFinite(tensor));
  }

  /// How an answer over this wire differs, or null: every output as the model has them, then those of the case by name.
  private static @Nullable String ask(RunningGateway gateway, Wire wire, Case one, DataSet set, boolean bits) {
    List<Tensor> wanted = bits ? set.direct : set.expected;
    List<Tensor> answer = wire.infer(gateway, one.model, set.inputs, List.of());
    long carried = one.declared.outputs().stream().filter(output -> output.datatype() != null).count();
    if (answer.size() != carried) {
      return "%d outputs, of which the protocol carries %d, but %d came".formatted(
          one.declared.outputs().size(), carried, answer.size());
    }
    // Not every case records every output.
    List<String> names = wanted.stream().map(Tensor::name).toList();
    // A number that is none has many forms as bits, and one as text.
    boolean sameBits = bits && wire.carriesEveryFloat();
    double relative = bits ? 0 : RELATIVE;
    double absolute = bits ? 0 : ABSOLUTE;
    String difference = difference(
        answer.stream().filter(output -> names.contains(output.name())).toList(), wanted, sameBits, relative, absolute);
    return difference == null
        ? difference(wire.infer(gateway, one.model, set.inputs, names), wanted, sameBits, relative, absolute)
        : difference;
  }

  private static String loadFailure(RunningGateway gateway, String model) {
    return gateway.models().listModels(ListModelsRequest.newBuilder().setModel(model).build()).getVersionsList().stream()
        .map(version -> " [" + version.getState() + " " + version.getReason() + "]")
        .collect(Collectors.joining());
  }

  private static @Nullable String difference(
      List<Tensor> actual, List<Tensor> wanted, boolean bits, double relative, double absolute) {
    if (actual.size() != wanted.size()) {
      return "%d outputs expected, got %d".formatted(wanted.size(), actual.size());
    }
    for (int i = 0; i < wanted.size(); i++) {
      String difference = bits
          ? TensorAssertions.bitDifference(actual.get(i), wanted.get(i))
          : TensorAssertions.difference(actual.get(i), wanted.get(i), relative, absolute);
      if (difference != null) {
        return difference;
      }
    }
    return null;
  }

  // --- the summary ---------------------------------------------------------------------------------------------------

  private void report(int cases) {
    StringBuilder text = new StringBuilder("%n%d conformance cases of ONNX%n".formatted(cases));
    int carried = cases - names(Verdict.NOT_CARRIED).size();
    line(text, cases - carried, "cannot be carried by the protocol");
    counts(Verdict.NOT_CARRIED).forEach((reason, count) -> line(text, count, "  " + reason));
    line(text, carried, "can");
    line(text, names(Verdict.NOT_PASSED_BY_ONNX_RUNTIME).size(), "  not passed by ONNX Runtime itself");
    line(text, names(Verdict.PASSED).size(), "  passed through the gateway over every wire, bit for bit");
    line(text, names(Verdict.PASSED_WITHIN_TOLERANCE).size(), "  passed within ONNX's tolerance, as ONNX Runtime varies");
    line(text, names(Verdict.FAILED).size(), "  failed");
    names(Verdict.FAILED).forEach(name -> text.append("%s: %s%n".formatted(name, reason(name))));
    System.out.println(text);
    try {
      Path list = Path.of("target", "onnx-corpus.txt");
      Files.write(
          list,
          outcomes.entrySet().stream()
              .map(entry -> "%s\t%s\t%s".formatted(entry.getKey(), entry.getValue().verdict, entry.getValue().reason))
              .toList());
      System.out.println("each case and its outcome: " + list.toAbsolutePath());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void line(StringBuilder text, int count, String what) {
    text.append("%6d %s%n".formatted(count, what));
  }

  private String reason(String name) {
    Outcome outcome = outcomes.get(name);
    return outcome == null ? "" : outcome.reason;
  }

  private List<String> names(Verdict verdict) {
    return outcomes.entrySet().stream()
        .filter(entry -> entry.getValue().verdict == verdict).map(Map.Entry::getKey).toList();
  }

  private Map<String, Integer> counts(Verdict verdict) {
    Map<String, Integer> counts = new TreeMap<>();
    names(verdict).forEach(name -> counts.merge(reason(name), 1, Integer::sum));
    return counts;
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
