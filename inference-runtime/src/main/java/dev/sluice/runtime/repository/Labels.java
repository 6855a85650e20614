package dev.sluice.runtime.repository;

import dev.sluice.proto.inference.ModelOutput;
import dev.sluice.runtime.model.ModelLoadException;
import java.nio.charset.CharacterCodingException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// The names of the classes that an output tells apart, from the files that a configuration names: a line for each.
final class Labels {
  private static final int BYTES_MAX = 16 << 20;
  private static final int LABELS_MAX = 1_000_000;

  private Labels() {}

  /// By output; an output without a `label_filename` has none.
  static Map<String, List<String>> read(ModelConfiguration configuration) throws ModelLoadException {
    Map<String, List<String>> labels = new HashMap<>();
    for (ModelOutput output : configuration.config().getOutputList()) {
      if (!output.getLabelFilename().isEmpty()) {
        labels.put(output.getName(), read(configuration, output));
      }
    }
    return labels;
  }

  private static List<String> read(ModelConfiguration configuration, ModelOutput output) throws ModelLoadException {
    String field = "%s: label_filename of output '%s'".formatted(configuration.label(), output.getName());
    String file = output.getLabelFilename();
    byte[] bytes = PlainFile.read(configuration.modelFolder(), file, BYTES_MAX, field, configuration.model());
    try {
      List<String> lines = PlainFile.utf8(bytes).lines().toList();
      if (lines.size() > LABELS_MAX) {
        throw new ModelLoadException(
            "%s names '%s/%s', which has %d lines; at most %d are read"
                .formatted(field, configuration.model(), file, lines.size(), LABELS_MAX));
      }
      return lines;
    } catch (CharacterCodingException e) {
      throw new ModelLoadException(
          "%s names '%s/%s', which is not UTF-8".formatted(field, configuration.model(), file), e);
    }
  }
}
