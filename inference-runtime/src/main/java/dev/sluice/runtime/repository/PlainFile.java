package dev.sluice.runtime.repository;

import dev.sluice.runtime.model.ModelLoadException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/// A file that a configuration names: never outside the model's folder, never larger than its bound.
final class PlainFile {
  private PlainFile() {}

  /// Whether this is the name of a file and not the way to one.
  static boolean isPlain(String name) {
    return !name.isEmpty()
        && !name.equals(".")
        && !name.equals("..")
        && name.chars().noneMatch(c -> c == '/' || c == '\\' || c < ' ');
  }

  /// The bytes of a file; `field` says in a message who named it, `label` what the folder is called there.
  static byte[] read(Path folder, String name, long bytesMax, String field, String label) throws ModelLoadException {
    try {
      Path real = folder.resolve(name).toRealPath();
      if (!real.startsWith(folder.toRealPath())) {
        throw new ModelLoadException("%s names '%s', which leaves the folder %s".formatted(field, name, label));
      }
      if (!Files.isRegularFile(real)) {
        throw new ModelLoadException("%s names '%s/%s', which is not a regular file".formatted(field, label, name));
      }
      long size = Files.size(real);
      if (size > bytesMax) {
        throw new ModelLoadException(
            "%s names '%s/%s', which has %d bytes; at most %d are read".formatted(field, label, name, size, bytesMax));
      }
      return Files.readAllBytes(real);
    } catch (NoSuchFileException | InvalidPathException e) {
      throw new ModelLoadException("%s names '%s/%s', which does not exist".formatted(field, label, name), e);
    } catch (IOException e) {
      throw new ModelLoadException(
          "%s names '%s/%s', which cannot be read: %s".formatted(field, label, name, e.getClass().getSimpleName()), e);
    }
  }

  /// The bytes as text, or an exception when they are not UTF-8.
  static String utf8(byte[] bytes) throws CharacterCodingException {
    return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
  }
}
