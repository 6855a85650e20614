package dev.sluice.runtime.mlflow;

import static dev.sluice.runtime.testing.Tensors.floats;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.sluice.runtime.model.ExecutionSettings;
import dev.sluice.runtime.model.ExecutionSettings.GraphLevel;
import dev.sluice.runtime.model.ExecutionSettings.Threads;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.repository.ModelRepository;
import dev.sluice.runtime.repository.VersionStatus;
import dev.sluice.runtime.repository.VersionStatus.State;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalInt;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(120)
class MlflowModelTest {

  private static final String MLFLOW_1 =
      """
      artifact_path: model
      flavors:
        onnx:
          data: model.onnx
          onnx_version: 1.9.0
        python_function:
          data: model.onnx
          env: conda.yaml
          loader_module: mlflow.onnx
          python_version: 3.7.11
      run_id: 5b2a1e8c11d94b2c8f3f4c1f1d0f3c77
      utc_time_created: '2021-09-07 08:31:40.552190'
      """;

  private static final String MLFLOW_2 =
      """
      artifact_path: onnx-model
      flavors:
        onnx:
          code: null
          data: model.onnx
          onnx_session_options: null
          onnx_version: 1.15.0
          providers:
          - CUDAExecutionProvider
          - CPUExecutionProvider
        python_function:
          data: model.onnx
          env:
            conda: conda.yaml
            virtualenv: python_env.yaml
          loader_module: mlflow.onnx
          python_version: 3.10.13
      mlflow_version: 2.9.2
      model_size_bytes: 412
      model_uuid: 3b0f7c4e6a4c4d52a9c1b2f0f3a97d11
      run_id: 9f2c7f1b7d4f4d0f9f4de4a1d5b1a2c3
      saved_input_example_info:
        artifact_path: input_example.json
        format: tf-serving
        type: ndarray
      signature:
        inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]'
        outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}, "name": "y"}]'
        params: null
      utc_time_created: '2024-01-11 14:02:11.019231'
      """;

  private static final String MLFLOW_3 =
      """
      artifact_path: file:///mlruns/1/models/m-0f3a/artifacts
      env_vars: null
      flavors:
        onnx:
          code: null
          data: model.onnx
          onnx_session_options:
            execution_mode: sequential
            graph_optimization_level: 99
            inter_op_num_threads: 0
            intra_op_num_threads: 1
          onnx_version: 1.19.0
          providers: &providers
          - CUDAExecutionProvider
          - CPUExecutionProvider
        python_function:
          data: model.onnx
          env: {conda: conda.yaml, virtualenv: python_env.yaml}
          loader_module: mlflow.onnx
          python_version: 3.12.4
      is_signature_from_type_hint: false
      metadata: {providers: *providers}
      mlflow_version: 3.4.0
      model_id: m-0f3a
      model_size_bytes: 512
      model_uuid: m-0f3a
      prompts: null
      run_id: null
      saved_input_example_info:
        artifact_path: input_example.json
        pandas_orient: split
        serving_input_path: serving_input_example.json
        type: dataframe
      signature:
        inputs: '[{"type": "double", "name": "height", "required": true}, {"type": "long", "name": "width", "required": true}]'
        outputs: null
        params: null
      type_hint_from_example: false
      utc_time_created: '2025-10-02 09:00:00.000000'
      """;

  @TempDir private Path root;

  // --- layouts --------------------------------------------------------------------------------------------------------

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "1|",
        "1|[[1, 2], [3, 4]]",
        "1|{\"columns\": [\"a\", \"b\"], \"data\": [[1, 2]]}",
        "2|{\"inputs\": [[0.5, 1.0], [2.0, 3.0]]}",
        "2|{\"inputs\": {\"x\": [[0.5, 1.0]]}}",
        "2|{\"instances\": [[0.5, 1.0]]}",
        "2|{\"x\": [[0.5, 1.0]]}",
        "3|{\"columns\": [\"height\", \"width\"], \"data\": [[1.5, 2], [2.5, 3]]}",
        "3|{\"columns\": [\"height\", \"width\"], \"index\": [0], \"data\": [[1.5, null]]}",
        "3|{\"dataframe_split\": {\"columns\": [\"height\", \"width\"], \"data\": [[1.5, 2]]}}",
        "3|{\"dataframe_records\": [{\"height\": 1.5, \"width\": 2}, {\"width\": 2, \"height\": 1.5}]}",
        "3|[{\"height\": 1.5, \"width\": 2}]",
      })
  void aFolderOfAnyReleaseLoadsAsItIs(int release, @Nullable String example) throws Exception {
    Path folder = folder("m/7", List.of(MLFLOW_1, MLFLOW_2, MLFLOW_3).get(release - 1), linear());
    if (example != null) {
      Files.writeString(folder.resolve("input_example.json"), example);
    }
    Files.writeString(folder.resolve("conda.yaml"), "name: mlflow-env\n");
    Files.writeString(folder.resolve("requirements.txt"), "onnxruntime\n");

    assertThat(served("m", 7, 1, 2)).isEqualTo(3);
  }

  @Test
  void aModelWithoutVersionFoldersIsVersionOne() throws Exception {
    folder("m", MLFLOW_1, linear());
    try (ModelRepository repository = loaded()) {
      assertThat(repository.versionsOnDisk("m")).containsExactly(1);
      assertThat(repository.index()).containsExactly(new VersionStatus("m", 1, State.READY, ""));
    }
    // The folder of a version that came later is what the model is from then on.
    folder("m/2", MLFLOW_1, linear());
    try (ModelRepository repository = loaded()) {
      assertThat(repository.versionsOnDisk("m")).containsExactly(2);
      assertThatExceptionOfType(ModelLoadException.class)
          .isThrownBy(() -> repository.load("m", 1))
          .withMessage("model 'm' has no version 1 in the repository");
    }
  }

  @Test
  void theModelsFileMayHaveAnyNameAndItsWeightsLieBesideIt() throws Exception {
    ByteBuffer weights = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putFloat(10).putFloat(20);
    Path folder = folder("m/1", MLFLOW_1.replace("data: model.onnx", "data: net.onnx"), new byte[0]);
    Files.delete(folder.resolve("model.onnx"));
    Files.write(folder.resolve("net.onnx"), OnnxModels.externalWeights("5d2f8a3e-data", 2).model());
    Files.write(folder.resolve("5d2f8a3e-data"), weights.array());
    Files.writeString(folder.resolve("serving_input_example.json"), "{\"inputs\": [1.0, 2.0]}");
    try (ModelRepository repository = loaded()) {
      assertThat(repository.status("m", 1)).isEqualTo(new VersionStatus("m", 1, State.READY, ""));
    }
  }

  @Test
  void severalInputsAreColumnsOfTheExample() throws Exception {
    OnnxGraph graph =
        new OnnxGraph()
            .input("age", Datatype.INT64, -1, 1)
            .input("name", Datatype.BYTES, -1, 1)
            .node("Identity", List.of("age"), List.of("years"))
            .node("Identity", List.of("name"), List.of("who"))
            .output("years", Datatype.INT64, -1, 1)
            .output("who", Datatype.BYTES, -1, 1);
    String signature =
        """
        signature:
          inputs: '[{"name": "age", "type": "long"}, {"name": "name", "type": "string"}]'
          outputs: '[{"name": "years", "type": "long"}, {"name": "who", "type": "string"}]'
        """;
    Path folder = folder("m/1", MLFLOW_1 + signature, graph.model());
    Files.writeString(
        folder.resolve("input_example.json"),
        "{\"columns\": [\"name\", \"age\"], \"data\": [[\"Ada\", 36], [\"Blaise\", 39.0]]}");
    try (ModelRepository repository = loaded()) {
      assertThat(repository.status("m", 1)).isEqualTo(new VersionStatus("m", 1, State.READY, ""));
    }
    Files.writeString(folder.resolve("MLmodel"), MLFLOW_1 + signature.replace("age", "years_old"));
    assertThat(refusal("m", 1))
        .isEqualTo(
            "m/1/MLmodel: signature.inputs: column 'years_old' is none of the model's inputs, which are [age, name]");
    Files.writeString(folder.resolve("MLmodel"), MLFLOW_1 + signature.replace("\"name\", \"type\": \"string\"", "\"name\", \"type\": \"long\""));
    assertThat(refusal("m", 1))
        .isEqualTo("m/1/MLmodel: signature.inputs: column 'name' is long; input 'name' of the model is BYTES");
  }

  // --- what is wrong --------------------------------------------------------------------------------------------------

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "flavors: {onnx: {data: ../model.onnx}}|flavors.onnx.data is '../model.onnx'; expected the name of a file in the folder",
        "flavors: {onnx: {data: other.onnx}}|m/1/other.onnx does not exist",
        "flavors: {sklearn: {}, python_function: {}}|m/1/MLmodel has the flavors [sklearn, python_function]; expected onnx",
        "flavors: 7|m/1/MLmodel: flavors is '7'; expected a mapping",
        "run_id: x|m/1/MLmodel: flavors is missing; expected a mapping",
        "- a|m/1/MLmodel is '[a]'; expected a mapping",
        "flavors: [|m/1/MLmodel is not YAML: ",
        "flavors: !!java.io.File [/etc/passwd]|m/1/MLmodel is not YAML: ",
        "flavors: {onnx: {onnx_session_options: {intra_op_num_threads: many}}}|onnx_session_options.intra_op_num_threads is"
            + " 'many'; expected a number of threads",
        "flavors: {onnx: {onnx_session_options: {intra_op_num_threads: -2}}}|onnx_session_options: intra-op threads are -2",
        "flavors: {onnx: {onnx_session_options: {execution_mode: fast}}}|onnx_session_options.execution_mode is 'fast';"
            + " expected 'sequential' or 'parallel'",
        "flavors: {onnx: {onnx_session_options: {graph_optimization_level: 7}}}|graph_optimization_level is '7'; expected 0, 1,"
            + " 2, 3 or 99",
        "flavors: {onnx: {}, a: &a {b: 1}, c: *d}|m/1/MLmodel is not YAML: ",
        "flavors: {onnx: {}}#signature: {inputs: '[{'}|m/1/MLmodel: signature.inputs is not JSON: ",
        "flavors: {onnx: {}}#signature: {inputs: '[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"int64\", \"shape\": [-1,"
            + " 2]}}]'}|m/1/MLmodel: signature.inputs: input 'x' is int64; the model has FP32",
        "flavors: {onnx: {}}#signature: {inputs: '[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float64\", \"shape\": [-1,"
            + " 3]}}]'}|m/1/MLmodel: signature.inputs: input 'x' has shape [-1,3]; the model has [-1, 2]",
        "flavors: {onnx: {}}#signature: {inputs: '[{\"name\": \"z\", \"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float32\","
            + " \"shape\": [-1, 2]}}]'}|input 'z' is none of the model's, which are [x]",
        "flavors: {onnx: {}}#signature: {outputs: '[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"int64\", \"shape\":"
            + " [-1]}}]'}|m/1/MLmodel: signature.outputs: output 'y' is int64; the model has FP32",
        "flavors: {onnx: {}}#signature: {inputs: '[{\"name\": \"a\", \"type\": \"double\"}]'}|m/1/MLmodel: signature.inputs: 1"
            + " columns; input 'x' of the model has shape [-1, 2]",
        "flavors: {onnx: {}}#signature: {inputs: '[{\"name\": \"a\", \"type\": \"string\"}, {\"name\": \"b\", \"type\":"
            + " \"double\"}]'}|m/1/MLmodel: signature.inputs: column 'a' is string; input 'x' of the model is FP32",
        "flavors: {onnx: {}}#saved_input_example_info: {artifact_path: /etc/passwd}|saved_input_example_info.artifact_path is"
            + " '/etc/passwd'; expected the name of a file in the folder",
        "flavors: {onnx: {}}#saved_input_example_info: {artifact_path: gone.json}|m/1/gone.json does not exist",
      })
  void anMlmodelThatIsWrongIsRefused(String mlmodel, String expected) throws Exception {
    folder("m/1", mlmodel.replace('#', '\n'), linear());
    assertThat(refusal("m", 1)).contains(expected);
  }

  @Test
  void anMlmodelThatIsNestedWithoutEndIsRefusedBeforeItIsLoaded() throws Exception {
    folder("m/1", "flavors: " + "[".repeat(100_000), linear());
    assertThat(refusal("m", 1)).isEqualTo("m/1/MLmodel is nested more than 64 deep");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "[[1, 2]|m/1/input_example.json is not JSON: ",
        "[[1, 2, 3]]|m/1/input_example.json: input 'x': it has shape [1, 3]; the model has [-1, 2]",
        "[[1, 2], [3]]|m/1/input_example.json: input 'x': its arrays are not nested evenly",
        "[[1, \"two\"]]|m/1/input_example.json: input 'x': \"two\" is no FP32",
        "{\"y\": [[1, 2]]}|m/1/input_example.json has no input 'x'; it has [y]",
        "{\"x\": [[1, 2]], \"y\": 3}|m/1/input_example.json has [y]; the model has the inputs [x]",
        "{\"columns\": [\"a\", \"b\"], \"data\": [[1, 2, 3]]}|a row has 3 values, and there are 2 columns",
        "[{\"a\": 1, \"b\": 2}, {\"a\": 1}]|m/1/input_example.json: a row has no 'b', and the first one has",
      })
  void anExampleThatDoesNotFitIsRefused(String example, String expected) throws Exception {
    Files.writeString(folder("m/1", MLFLOW_1, linear()).resolve("input_example.json"), example);
    assertThat(refusal("m", 1)).contains(expected);
  }

  @Test
  void aModelThatFailsOnItsOwnExampleIsRefused() throws Exception {
    byte[] fails = OnnxModels.linearThatFailsFromOne(1, 0, 2).model();
    Path folder = folder("m/1", MLFLOW_1, fails);
    Files.writeString(folder.resolve("input_example.json"), "[[5, 5]]");
    assertThat(refusal("m", 1)).startsWith("m/1/input_example.json: the model fails on it: ");
    Files.writeString(folder.resolve("input_example.json"), "[[0.5, 5]]");
    assertThat(served("m", 1, 0.5f, 7)).isEqualTo(0.5f);
  }

  @Test
  void aModelWhoseAnswerIsNotFiniteIsRefusedUnlessItsExampleIsNotEither() throws Exception {
    byte[] divides =
        new OnnxGraph()
            .input("x", Datatype.FP32, -1, 2)
            .node("Reciprocal", List.of("x"), List.of("y"))
            .output("y", Datatype.FP32, -1, 2)
            .model();
    Path folder = folder("m/1", MLFLOW_1, divides);
    Files.writeString(folder.resolve("input_example.json"), "[[0, 1]]");
    assertThat(refusal("m", 1))
        .isEqualTo("m/1/input_example.json: output 'y' holds a number that is not finite, and every input is");
    Files.writeString(folder.resolve("input_example.json"), "[[null, 0]]");
    assertThat(served("m", 1, 4, 1)).isEqualTo(0.25f);
  }

  @Test
  void anEndlessExampleIsNoReasonToWaitForEver() throws Exception {
    Path folder = folder("m/1", MLFLOW_1, OnnxModels.loop().model());
    Files.writeString(folder.resolve("input_example.json"), "{\"trips\": 4000000000000000000, \"x\": [0]}");
    RunControl control = RunControl.create();
    OnnxRuntime runtime = new OnnxRuntime();
    MlflowModel model = Objects.requireNonNull(MlflowModel.read(folder, "m/1"));
    try (var session = runtime.load(folder, model.settings(ModelSettings.defaults()))) {
      Thread ends = Thread.ofVirtual().start(control::terminate);
      assertThatExceptionOfType(ModelLoadException.class)
          .isThrownBy(() -> model.check(session, control))
          .withMessageStartingWith("m/1/input_example.json: the model fails on it: ");
      ends.join();
    }
  }

  // --- values ---------------------------------------------------------------------------------------------------------

  @Test
  void whatTheConfigurationSaysGoesBeforeWhatMlflowSays() throws Exception {
    String options =
        """
        flavors:
          onnx:
            data: net.onnx
            onnx_session_options:
              intra_op_num_threads: 4
              inter_op_num_threads: 2
              execution_mode: PARALLEL
              graph_optimization_level: 1
              extra_session_config: {session.intra_op.allow_spinning: '1'}
        """;
    MlflowModel model = Objects.requireNonNull(MlflowModel.read(folder("m/1", options, linear()), "m/1"));
    ExecutionSettings defaults = ExecutionSettings.defaults();

    ModelSettings settings = model.settings(ModelSettings.defaults());
    assertThat(settings.modelFilename()).isEqualTo("net.onnx");
    assertThat(settings.execution().threads())
        .isEqualTo(new Threads(OptionalInt.of(4), OptionalInt.of(2), true));
    assertThat(settings.execution().graphLevel()).isEqualTo(GraphLevel.BASIC);

    ModelSettings own =
        new ModelSettings(
            "mine.onnx",
            new ExecutionSettings(
                new Threads(OptionalInt.of(8), OptionalInt.empty(), false),
                GraphLevel.NONE,
                defaults.memory(),
                defaults.placement(),
                Map.of()));
    ModelSettings both = model.settings(own);
    assertThat(both.modelFilename()).isEqualTo("mine.onnx");
    assertThat(both.execution().threads()).isEqualTo(new Threads(OptionalInt.of(8), OptionalInt.of(2), true));
    assertThat(both.execution().graphLevel()).isEqualTo(GraphLevel.NONE);
  }

  @Test
  void numbersBecomeWhatTheModelWants() throws Exception {
    Path folder = Files.createDirectories(root.resolve("e/1"));
    record Case(Datatype datatype, String json, Tensor expected) {}
    for (Case example :
        List.of(
            new Case(Datatype.INT32, "[1, -2.0]", Tensors.ints("x", Shape.of(2), 1, -2)),
            new Case(Datatype.INT64, "[9007199254740993]", Tensors.longs("x", Shape.of(1), 9007199254740993L)),
            new Case(Datatype.BOOL, "[true, 0]", Tensors.bools("x", Shape.of(2), true, false)),
            new Case(Datatype.BYTES, "[\"ä\", \"\"]", Tensors.strings("x", Shape.of(2), "ä", "")),
            new Case(Datatype.FP32, "[null, 1e2]", floats("x", Shape.of(2), Float.NaN, 100)),
            new Case(Datatype.UINT8, "[255]", tensor(Datatype.UINT8, 1, 255)),
            new Case(Datatype.UINT64, "[18446744073709551615]", tensor(Datatype.UINT64, 8, 0xff)),
            new Case(Datatype.FP16, "[1]", tensor(Datatype.FP16, 0x00, 0x3c)),
            new Case(Datatype.BF16, "[1.00390625]", tensor(Datatype.BF16, 0x80, 0x3f)))) {
      Files.writeString(folder.resolve("e.json"), example.json());
      Signature signature =
          new Signature(List.of(new TensorSpec("x", example.datatype(), Shape.of(-1))), List.of(), List.of(), 0);
      assertThat(InputExample.read(folder, "e.json", signature, "e").inputs())
          .as(example.datatype().toString())
          .containsExactly(example.expected());
    }
    for (Map.Entry<Datatype, String> wrong :
        Map.of(
                Datatype.INT32, "[1.5]", Datatype.INT8, "[128]", Datatype.UINT32, "[-1]", Datatype.UINT64, "[-1]",
                Datatype.BOOL, "[2]", Datatype.BYTES, "[1]", Datatype.INT64, "[null]", Datatype.FP64, "[\"1\"]")
            .entrySet()) {
      Files.writeString(folder.resolve("e.json"), wrong.getValue());
      Signature signature =
          new Signature(List.of(new TensorSpec("x", wrong.getKey(), Shape.of(-1))), List.of(), List.of(), 0);
      assertThatExceptionOfType(ModelLoadException.class)
          .isThrownBy(() -> InputExample.read(folder, "e.json", signature, "e"))
          .withMessageEndingWith(" is no " + wrong.getKey());
    }
  }

  // --- parts ----------------------------------------------------------------------------------------------------------

  private static Tensor tensor(Datatype datatype, int... bytes) {
    ByteBuffer buffer = ByteBuffer.allocate(datatype.byteSize()).order(ByteOrder.LITTLE_ENDIAN);
    if (datatype == Datatype.UINT64) {
      buffer.putLong(-1);
    } else {
      for (int i = bytes.length - datatype.byteSize(); i < bytes.length; i++) {
        buffer.put((byte) bytes[i]);
      }
    }
    return new Tensor("x", datatype, Shape.of(1), buffer.flip());
  }

  private static byte[] linear() {
    return OnnxModels.linear(2, 1, 2).model();
  }

  private Path folder(String path, String mlmodel, byte[] model) throws IOException {
    Path folder = Files.createDirectories(root.resolve(path));
    Files.writeString(folder.resolve("MLmodel"), mlmodel);
    Files.write(folder.resolve("model.onnx"), model);
    return folder;
  }

  private ModelRepository loaded() throws IOException {
    ModelRepository repository = ModelRepository.open(root, new OnnxRuntime());
    repository.loadAll();
    return repository;
  }

  private String refusal(String model, long version) throws IOException {
    try (ModelRepository repository = loaded()) {
      VersionStatus status = Objects.requireNonNull(repository.status(model, version));
      assertThat(status.state()).isEqualTo(State.UNAVAILABLE);
      return status.reason();
    }
  }

  private float served(String model, long number, float... row) throws Exception {
    try (ModelRepository repository = loaded()) {
      assertThat(repository.status(model, number)).isEqualTo(new VersionStatus(model, number, State.READY, ""));
      ModelVersion version = Objects.requireNonNull(Objects.requireNonNull(repository.find(model)).version(number));
      assertThat(version.tryAcquire()).isTrue();
      try {
        return version
            .run(List.of(floats("x", Shape.of(1, row.length), row)), List.of("y"), RunControl.none())
            .getFirst()
            .bytes()
            .getFloat(0);
      } finally {
        version.release();
      }
    }
  }
}
