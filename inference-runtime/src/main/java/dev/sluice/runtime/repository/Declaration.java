package dev.sluice.runtime.repository;

import dev.sluice.proto.inference.DataType;
import dev.sluice.proto.inference.ModelInput;
import dev.sluice.proto.inference.ModelOutput;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// What a configuration says of one tensor, input or output.
///
/// @param kind `input` or `output`
/// @param dims as callers see them, without the batch dimension when there is one
/// @param reshape as the model sees them; null: the same
record Declaration(
    String kind, String name, DataType dataType, List<Long> dims, @Nullable List<Long> reshape, boolean optional) {

  static Declaration of(ModelInput input) {
    return new Declaration(
        "input",
        input.getName(),
        input.getDataType(),
        input.getDimsList(),
        input.hasReshape() ? input.getReshape().getShapeList() : null,
        input.getOptional());
  }

  static Declaration of(ModelOutput output) {
    return new Declaration(
        "output",
        output.getName(),
        output.getDataType(),
        output.getDimsList(),
        output.hasReshape() ? output.getReshape().getShapeList() : null,
        false);
  }

  /// The dimensions that the model itself has.
  List<Long> modelDims() {
    return reshape == null ? dims : reshape;
  }
}
