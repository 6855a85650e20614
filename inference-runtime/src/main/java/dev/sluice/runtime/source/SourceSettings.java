package dev.sluice.runtime.source;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What fetching models is allowed to use.
///
/// @param cacheFolder made when the first file is fetched
/// @param cacheBytesMax of all files in the cache together, those that are being fetched included
/// @param plainHttp whether `http:` URLs are followed; an S3 endpoint is the operator's own word and may be either
/// @param certificates PEM file of authorities to trust beside the platform's, null for the platform's only
public record SourceSettings(
    Path cacheFolder,
    long cacheBytesMax,
    boolean plainHttp,
    @Nullable Path certificates,
    S3Settings s3,
    Patience patience) {

  public static final long CACHE_BYTES_MAX_DEFAULT = 10L << 30;

  public SourceSettings {
    if (cacheBytesMax < 1) {
      throw new IllegalArgumentException("model-cache-bytes: %d is not positive".formatted(cacheBytesMax));
    }
  }

  /// https and public S3 objects, into a cache of 10 GiB.
  public static SourceSettings defaults(Path cacheFolder) {
    return new SourceSettings(
        cacheFolder, CACHE_BYTES_MAX_DEFAULT, false, null, S3Settings.fromEnvironment(Map.of()), Patience.defaults());
  }

  /// How long a fetch may take, and how often it is tried.
  ///
  /// @param connect to have a connection
  /// @param silence without one more byte
  /// @param attempt in all
  /// @param attempts before giving up, at least 1
  /// @param pause before the second attempt; four times as long before the third
  public record Patience(Duration connect, Duration silence, Duration attempt, int attempts, Duration pause) {
    public Patience {
      if (attempts < 1) {
        throw new IllegalArgumentException("attempts are %d; expected at least 1".formatted(attempts));
      }
    }

    public static Patience defaults() {
      return new Patience(
          Duration.ofSeconds(10), Duration.ofSeconds(30), Duration.ofHours(1), 3, Duration.ofMillis(500));
    }
  }
}
