package dev.sluice.loadtest.traffic;

import io.grpc.Metadata;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/// Who sends: fixed metadata, a sticky key (`sluice-key`) and segment attributes (`sluice-segment-<name>`).
///
/// With keys, an attribute belongs to the key: a caller from Germany is from Germany in every request. Without keys it
/// is drawn for each request.
public final class Callers {
  /// Callers that say nothing about themselves.
  public static final Callers ANONYMOUS = new Callers(Keys.NONE, List.of(), Map.of(), 0);

  private static final Metadata.Key<String> KEY = metadataKey("sluice-key");

  private final Keys keys;
  private final Keys.DrawOf keyDraw;
  private final List<Attribute> attributes;
  private final Metadata fixed = new Metadata();
  private final long seed;

  public Callers(Keys keys, List<SegmentMix> segments, Map<String, String> metadata, long seed) {
    this.keys = keys;
    this.keyDraw = keys.draw();
    this.seed = seed;
    this.attributes = IntStream.range(0, segments.size())
        .mapToObj(i -> Attribute.of(segments.get(i), seed + i + 1))
        .toList();
    metadata.forEach((name, value) -> fixed.put(metadataKey(name), printable(name, value)));
  }

  void addMetadata(long n, Metadata headers) {
    headers.merge(fixed);
    long caller = n;
    if (keys.count() > 0) {
      caller = keyDraw.index(SeededDraw.unit(seed, n));
      headers.put(KEY, "key-" + caller);
    }
    for (Attribute attribute : attributes) {
      headers.put(attribute.key, attribute.values.get(attribute.draw.index(SeededDraw.unit(attribute.seed, caller))));
    }
  }

  private record Attribute(Metadata.Key<String> key, List<String> values, Keys.DrawOf draw, long seed) {
    static Attribute of(SegmentMix mix, long seed) {
      String name = "sluice-segment-" + mix.name();
      return new Attribute(
          metadataKey(name),
          mix.shares().stream().map(share -> printable(name, share.value())).toList(),
          Keys.weighted(mix.shares().stream().mapToDouble(SegmentMix.Share::weight).toArray()),
          seed);
    }
  }

  private static Metadata.Key<String> metadataKey(String name) {
    if (name.startsWith("grpc-") || name.endsWith(Metadata.BINARY_HEADER_SUFFIX)) {
      throw new InvalidTrafficException(
          "metadata '%s': names that begin with grpc- or end with -bin cannot be set here".formatted(name));
    }
    try {
      return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
    } catch (IllegalArgumentException e) {
      throw new InvalidTrafficException(
          "metadata '%s' is not a gRPC metadata name: expected letters, digits, '-', '_' and '.'".formatted(name));
    }
  }

  /// gRPC silently mangles other characters; a load test must send what it was told to send.
  private static String printable(String name, String value) {
    if (!value.chars().allMatch(c -> c >= ' ' && c <= '~')) {
      throw new InvalidTrafficException("metadata '%s': value '%s' has characters beyond printable ASCII"
          .formatted(name, value));
    }
    return value;
  }
}
