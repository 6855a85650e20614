package dev.sluice.runtime.mlflow;

import dev.sluice.runtime.model.ModelLoadException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/// A file of an MLflow folder: never outside of it, never larger than its bound.
final class MlflowFile {
  private MlflowFile() {}

  /// The bytes of the file.
  ///
  /// @param label what messages call the file
  static byte[] read(Path folder, String name, long bytesMax, String label) throws ModelLoadException {
    try {
      Path file = folder.resolve(name).toRealPath();
      if (!file.startsWith(folder.toRealPath())) {
        throw new ModelLoadException("%s is a link that leaves the model's folder".formatted(label));
      }
      if (!Files.isRegularFile(file)) {
        throw new ModelLoadException("%s is not a regular file".formatted(label));
      }
      if (Files.size(file) > bytesMax) {
        throw new ModelLoadException(
            "%s has %d bytes; at most %d are read".formatted(label, Files.size(file), bytesMax));
      }
      return Files.readAllBytes(file);
    } catch (NoSuchFileException e) {
      throw new ModelLoadException("%s does not exist".formatted(label), e);
    } catch (IOException e) {
      throw new ModelLoadException("%s cannot be read: %s".formatted(label, e.getClass().getSimpleName()), e);
    }
  }

  /// Whether this is the name of a file and not the way to one.
  static boolean isPlain(String name) {
    return !name.isEmpty()
        && !name.equals(".")
        && !name.equals("..")
        && name.chars().noneMatch(c -> c == '/' || c == '\\' || c < ' ');
  }
}
