package dev.sluice.examples.fraud.training;

import ai.onnx.proto.OnnxMl;
import com.google.protobuf.ByteString;
import dev.sluice.examples.fraud.Features;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import org.tribuo.ONNXExportable;

/// What Tribuo exports, made fit for serving: inputs and outputs get the names that callers use, and provenance (times,
/// machine) gives way to the names of the features, so that training again makes the same bytes.
final class OnnxExport {
  private static final Map<String, String> NAMES = Map.of("input", Scorer.INPUT, "output", Scorer.OUTPUT);

  private OnnxExport() {}

  static OnnxMl.ModelProto of(ONNXExportable model, int version) {
    var onnx = model.exportONNXModel("dev.sluice.examples", version).toBuilder()
        .setDocString("payment fraud, version " + version)
        .clearMetadataProps()
        .addMetadataProps(OnnxMl.StringStringEntryProto.newBuilder()
            .setKey(Scorer.INPUT).setValue(String.join(",", Features.NAMES)));
    var graph = onnx.getGraphBuilder();
    graph.getInputBuilderList().forEach(input -> input.setName(renamed(input.getName())));
    graph.getOutputBuilderList().forEach(output -> output.setName(renamed(output.getName())));
    for (var node : graph.getNodeBuilderList()) {
      for (int i = 0; i < node.getInputCount(); i++) {
        node.setInput(i, renamed(node.getInput(i)));
      }
      for (int i = 0; i < node.getOutputCount(); i++) {
        node.setOutput(i, renamed(node.getOutput(i)));
      }
    }
    return onnx.build();
  }

  /// A matrix as a named FP32 tensor, the form of ONNX's own test data.
  static OnnxMl.TensorProto tensor(String name, float[][] rows) {
    int columns = rows[0].length;
    var bytes = ByteBuffer.allocate(rows.length * columns * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (float[] row : rows) {
      bytes.asFloatBuffer().put(row);
      bytes.position(bytes.position() + columns * Float.BYTES);
    }
    return OnnxMl.TensorProto.newBuilder()
        .setName(name)
        .setDataType(OnnxMl.TensorProto.DataType.FLOAT.getNumber())
        .addDims(rows.length).addDims(columns)
        .setRawData(ByteString.copyFrom(bytes.flip()))
        .build();
  }

  private static String renamed(String name) {
    return NAMES.getOrDefault(name, name);
  }
}
