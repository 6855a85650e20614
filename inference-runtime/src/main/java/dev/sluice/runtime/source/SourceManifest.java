package dev.sluice.runtime.source;

import dev.sluice.runtime.model.ModelLoadException;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;

/// What a `model.source` says: which files the version is made of, where each is, and what its SHA-256 has to be.
///
/// ```
/// # <sha256>  <url>[  <file name>]
/// 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae  s3://models/fraud/7.onnx
/// fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9  s3://models/fraud/7.data  weights.bin
/// ```
///
/// A line without a file name is the model itself, `model.onnx`.
record SourceManifest(List<SourceFile> files) {
  static final String FILE = "model.source";

  private static final String MODEL_FILE = "model.onnx";
  private static final int BYTES_MAX = 64 << 10;
  private static final int FILES_MAX = 256;
  private static final Pattern SHA_256 = Pattern.compile("[0-9a-fA-F]{64}");
  // Names that are the same file on every system, and no way out of the folder; no name begins with a dot.
  private static final Pattern FILE_NAME = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,127}");

  /// One file; `line` is where the manifest names it.
  record SourceFile(String sha256, String url, String name, int line) {}

  SourceManifest {
    files = List.copyOf(files);
  }

  /// @param label names the file in messages
  static SourceManifest read(Path file, String label) throws ModelLoadException {
    try {
      if (Files.size(file) > BYTES_MAX) {
        throw new ModelLoadException(
            "%s has %d bytes; at most %d are read".formatted(label, Files.size(file), BYTES_MAX));
      }
      return parse(Files.readString(file), label);
    } catch (CharacterCodingException e) {
      throw new ModelLoadException("%s is not UTF-8".formatted(label), e);
    } catch (IOException e) {
      throw new ModelLoadException("%s cannot be read: %s".formatted(label, e.getClass().getSimpleName()), e);
    }
  }

  static SourceManifest parse(String text, String label) throws ModelLoadException {
    List<SourceFile> files = new ArrayList<>();
    Set<String> names = new HashSet<>();
    int number = 0;
    for (String line : text.lines().toList()) {
      number++;
      String words = line.strip();
      if (!words.isEmpty() && !words.startsWith("#")) {
        SourceFile file = file(words.split("\\s+"), number, "%s, line %d".formatted(label, number));
        if (!names.add(file.name())) {
          throw new ModelLoadException("%s, line %d: the file '%s' is named twice".formatted(label, number, file.name()));
        }
        files.add(file);
      }
    }
    if (files.isEmpty() || files.size() > FILES_MAX) {
      throw new ModelLoadException(
          "%s names %d files; expected 1 to %d lines '<sha256>  <url>[  <file name>]'"
              .formatted(label, files.size(), FILES_MAX));
    }
    return new SourceManifest(files);
  }

  private static SourceFile file(String[] words, int line, String label) throws ModelLoadException {
    if (words.length < 2 || words.length > 3) {
      throw new ModelLoadException(
          "%s: %d words; expected '<sha256>  <url>[  <file name>]'".formatted(label, words.length));
    }
    if (!SHA_256.matcher(words[0]).matches()) {
      throw new ModelLoadException("%s: '%s' is not a SHA-256; expected 64 hexadecimal digits".formatted(label, words[0]));
    }
    String name = words.length == 3 ? words[2] : MODEL_FILE;
    if (!FILE_NAME.matcher(name).matches() || name.equals(FILE)) {
      throw new ModelLoadException(
          "%s: '%s' is not a plain file name; expected at most 128 letters, digits, '.', '_' and '-'"
              .formatted(label, name));
    }
    return new SourceFile(words[0].toLowerCase(Locale.ROOT), words[1], name, line);
  }

  /// The same for every manifest of the same contents under the same names, wherever they are fetched from.
  String key() {
    MessageDigest digest = Sha256.digest();
    files.stream()
        .sorted(Comparator.comparing(SourceFile::name))
        .forEach(file -> digest.update("%s %s\n".formatted(file.sha256(), file.name()).getBytes(StandardCharsets.UTF_8)));
    return HexFormat.of().formatHex(digest.digest());
  }
}
