package dev.sluice.gateway.cli;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Option;

/// How much `sluice serve` keeps of answers that it may give again, in Triton's words.
final class CacheOptions {

  private static final Pattern SIZE = Pattern.compile("local,size=(?<bytes>[0-9]{1,18})");

  @Option(
      names = "--cache-config",
      paramLabel = "local,size=BYTES",
      description = {
        "Memory for answers of models whose configuration says response_cache { enable: true }",
        "(default: none; such models just run then)."
      })
  private List<String> cacheConfig = List.of();

  /// 0: no cache.
  long bytes() {
    long bytes = 0;
    for (String setting : cacheConfig) {
      Matcher size = SIZE.matcher(setting);
      if (!size.matches()) {
        throw new IllegalArgumentException(
            "cache-config: '%s'; expected 'local,size=BYTES', the only cache there is".formatted(setting));
      }
      bytes = Long.parseLong(size.group("bytes"));
    }
    return bytes;
  }
}
