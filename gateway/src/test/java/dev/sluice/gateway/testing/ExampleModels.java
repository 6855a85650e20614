package dev.sluice.gateway.testing;

import java.nio.file.Files;
import java.nio.file.Path;

/// The models that come with Sluice, in `examples` of the source tree.
public final class ExampleModels {
  private ExampleModels() {}

  /// A repository with the model `fraud` in versions 1 to 3, of which version 1 is served.
  public static Path repository() {
    return example().resolve("models");
  }

  /// A rollout note for it: `fraud-v2` or `fraud-v3`.
  public static Path note(String name) {
    return example().resolve("notes").resolve(name + ".yaml");
  }

  private static Path example() {
    for (Path folder = Path.of("").toAbsolutePath(); folder != null; folder = folder.getParent()) {
      Path example = folder.resolve("examples").resolve("payment-fraud");
      if (Files.isDirectory(example)) {
        return example;
      }
    }
    throw new IllegalStateException("no examples/payment-fraud from the working directory upwards");
  }
}
