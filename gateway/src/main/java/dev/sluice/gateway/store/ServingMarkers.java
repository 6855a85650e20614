package dev.sluice.gateway.store;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The default version of each model that ever was in a rollout, one small text file each beside the store.
///
/// They say nothing that the store does not say. They are for the one start at which the store cannot be read: the gateway
/// then still knows the trusted version of each model and never has to guess whether the newest one is on trial.
public final class ServingMarkers {

  private static final Logger log = LoggerFactory.getLogger(ServingMarkers.class);

  private final Path directory;

  public ServingMarkers(Path directory) {
    this.directory = directory;
  }

  /// Written after the store has it. A marker that cannot be written is reported and not fatal: the store is the truth.
  public void write(ServingVersion serving) {
    try {
      Files.createDirectories(directory);
      Path unfinished = directory.resolve(serving.model() + ".new");
      Files.writeString(unfinished, serving.version() + "\n", UTF_8);
      DurableMove.move(unfinished, directory.resolve(serving.model()));
    } catch (IOException e) {
      log.error("{}: the marker of model '{}' cannot be written: {}", directory, serving.model(), e.toString());
    }
  }

  /// The versions by model; a marker that is not a version is reported and left out.
  public Map<String, Long> read() {
    Map<String, Long> versions = new HashMap<>();
    if (!Files.isDirectory(directory)) {
      return versions;
    }
    try (Stream<Path> files = Files.list(directory)) {
      for (Path file : files.filter(f -> !f.toString().endsWith(".new")).toList()) {
        readOne(file, versions);
      }
    } catch (IOException e) {
      log.error("{}: the markers cannot be read: {}", directory, e.toString());
    }
    return versions;
  }

  private static void readOne(Path file, Map<String, Long> versions) {
    try {
      versions.put(file.getFileName().toString(), Long.parseLong(Files.readString(file, UTF_8).strip()));
    } catch (IOException | NumberFormatException e) {
      log.error("{}: the marker cannot be read: {}", file, e.toString());
    }
  }
}
