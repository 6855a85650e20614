package dev.sluice.gateway.cli;

import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.InferTensorContents;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.proto.inference.ModelInferResponse.InferOutputTensor;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelMetadataResponse;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/// `sluice infer`: one request to a model of any Open Inference Protocol server, with values written as text.
@Command(
    name = "infer",
    description = "Sends one inference request.",
    footer = {
      "",
      "A file for --data holds the protocol's JSON form:",
      "  {\"inputs\": [{\"name\": \"x\", \"shape\": [1, 3], \"data\": [1, 2, 3]}]}",
      "",
      "Example:",
      "  sluice infer -m fraud --input features=0.1,2,30 --key user-17 \\",
      "    --segment country=JP"
    })
final class InferCommand implements Callable<Integer> {
  private static final int VALUES_SHOWN = 8;

  @Option(
      names = "--target",
      defaultValue = "127.0.0.1:8001",
      paramLabel = "HOST:PORT",
      description = "Inference server, HOST:PORT or unix:/path/of/a/socket (default: ${DEFAULT-VALUE}).")
  private String target = "";

  @Option(
      names = "--timeout",
      defaultValue = "10s",
      converter = DurationText.class,
      paramLabel = "DURATION",
      description = "How long to wait for the answer, as 500ms, 10s or 2m (default: ${DEFAULT-VALUE}).")
  private Duration timeout = Duration.ZERO;

  @Option(names = {"-m", "--model"}, required = true, paramLabel = "MODEL", description = "The model's name.")
  private String model = "";

  @Option(
      names = "--version",
      defaultValue = "",
      paramLabel = "VERSION",
      description = "The model's version (default: the server's choice, which is what a rollout steers).")
  private String version = "";

  @Option(
      names = "--input",
      converter = NameAndText.Converter.class,
      paramLabel = "NAME=VALUES",
      description = "An input and its values, separated by commas.")
  private List<NameAndText> inputs = new ArrayList<>();

  @Option(
      names = "--shape",
      converter = NameAndText.Converter.class,
      paramLabel = "NAME=DIMENSIONS",
      description = "An input's shape, as x=1,3; needed when the model leaves two or more dimensions free.")
  private List<NameAndText> shapes = new ArrayList<>();

  @Option(names = "--data", paramLabel = "FILE", description = "Inputs from a JSON file.")
  private @Nullable Path data;

  @Option(names = "--key", defaultValue = "", paramLabel = "KEY", description = "The sticky key.")
  private String key = "";

  @Option(
      names = "--segment",
      converter = NameAndText.Converter.class,
      paramLabel = "NAME=VALUE",
      description = "A segment attribute, as country=JP.")
  private List<NameAndText> segments = new ArrayList<>();

  @Option(
      names = "--param",
      converter = NameAndText.Converter.class,
      paramLabel = "NAME=VALUE",
      description = "A request parameter: true and false are sent as booleans, whole numbers as integers.")
  private List<NameAndText> parameters = new ArrayList<>();

  @Mixin
  private Output output = new Output();

  @Override
  public Integer call() throws IOException {
    List<TensorText> tensors = new ArrayList<>(TensorText.of(inputs, shapes));
    if (data != null) {
      tensors.addAll(TensorText.of(data));
    }
    try (Connection connection = Connection.open(target, timeout)) {
      ModelMetadataResponse metadata = connection.stub(GRPCInferenceServiceGrpc::newBlockingStub)
          .modelMetadata(ModelMetadataRequest.newBuilder().setName(model).setVersion(version).build());
      ModelInferRequest.Builder request = TensorText.encode(tensors, metadata)
          .setModelName(model)
          .setModelVersion(version)
          .putAllParameters(parameters());
      ModelInferResponse answer =
          connection.stub(GRPCInferenceServiceGrpc::newBlockingStub).modelInfer(request.build());
      print(TensorText.readable(answer));
      return 0;
    }
  }

  private Map<String, InferParameter> parameters() {
    Map<String, InferParameter> all = new LinkedHashMap<>();
    if (!key.isEmpty()) {
      all.put("sluice-key", string(key));
    }
    segments.forEach(s -> NameAndText.putOnce(all, "sluice-segment-" + s.name(), string(s.text())));
    parameters.forEach(p -> NameAndText.putOnce(all, p.name(), typed(p.text())));
    return all;
  }

  /// Keys and segment attributes are text even when they look like numbers.
  private static InferParameter string(String text) {
    return InferParameter.newBuilder().setStringParam(text).build();
  }

  private static InferParameter typed(String text) {
    if (text.equals("true") || text.equals("false")) {
      return InferParameter.newBuilder().setBoolParam(text.equals("true")).build();
    }
    try {
      return InferParameter.newBuilder().setInt64Param(Long.parseLong(text)).build();
    } catch (NumberFormatException _) {
      return string(text);
    }
  }

  private void print(ModelInferResponse answer) {
    if (output.json()) {
      output.print(answer);
      return;
    }
    output.out().println("%s version %s%s".formatted(
        answer.getModelName(), answer.getModelVersion().isEmpty() ? "-" : answer.getModelVersion(),
        answer.getParametersMap().entrySet().stream()
            .sorted(Map.Entry.comparingByKey())
            .map(parameter -> "  " + parameter.getKey() + "=" + text(parameter.getValue()))
            .collect(Collectors.joining())));
    Table table = new Table("OUTPUT", "DATATYPE", "SHAPE", "VALUES");
    for (InferOutputTensor tensor : answer.getOutputsList()) {
      table.row(tensor.getName(), tensor.getDatatype(), tensor.getShapeList(), shortened(tensor.getContents()));
    }
    table.print(output.out());
  }

  private static String shortened(InferTensorContents contents) {
    List<String> values = Datatype.texts(contents);
    String first = values.stream().limit(VALUES_SHOWN).collect(Collectors.joining(", "));
    return values.size() <= VALUES_SHOWN ? first : "%s, … (%d values)".formatted(first, values.size());
  }

  private static String text(InferParameter parameter) {
    return switch (parameter.getParameterChoiceCase()) {
      case BOOL_PARAM -> Boolean.toString(parameter.getBoolParam());
      case INT64_PARAM -> Long.toString(parameter.getInt64Param());
      case UINT64_PARAM -> Long.toUnsignedString(parameter.getUint64Param());
      case DOUBLE_PARAM -> Double.toString(parameter.getDoubleParam());
      case STRING_PARAM -> parameter.getStringParam();
      case PARAMETERCHOICE_NOT_SET -> "";
    };
  }
}
