package dev.sluice.gateway.cli;

import dev.sluice.runtime.source.S3Settings;
import dev.sluice.runtime.source.SourceSettings;
import dev.sluice.runtime.source.SourceSettings.Patience;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/// How `sluice serve` fetches models whose folders hold a `model.source` in their place.
final class SourceOptions {

  @Option(
      names = "--model-cache-dir",
      paramLabel = "DIR",
      description = "Models that were fetched (default: model-cache in the data directory).")
  private @Nullable Path cacheFolder;

  @Option(
      names = "--model-cache-bytes",
      defaultValue = "" + SourceSettings.CACHE_BYTES_MAX_DEFAULT,
      paramLabel = "N",
      description = "What they may take (default: ${DEFAULT-VALUE}); those used least recently leave first.")
  private long cacheBytesMax;

  @Option(
      names = "--model-source-http",
      description = "Fetch models from http: URLs too, not only from https: ones.")
  private boolean plainHttp;

  @Option(
      names = "--model-source-ca",
      paramLabel = "FILE",
      description = "PEM file of authorities to trust beside the platform's when models are fetched.")
  private @Nullable Path certificates;

  /// @param environment says where S3 is and who asks, in the variables of AWS' own tools
  SourceSettings settings(Path dataDirectory, Map<String, String> environment) {
    return new SourceSettings(
        cacheFolder == null ? dataDirectory.resolve("model-cache") : cacheFolder,
        cacheBytesMax,
        plainHttp,
        certificates,
        S3Settings.fromEnvironment(environment),
        Patience.defaults());
  }
}
