package dev.sluice.loadtest.traffic;

import java.util.ArrayList;
import java.util.List;

/// The values of one segment attribute and how often each is drawn, written `name=value:weight,value:weight`.
public record SegmentMix(String name, List<Share> shares) {
  /// One value and its weight against the others.
  public record Share(String value, double weight) {}

  public SegmentMix {
    shares = List.copyOf(shares);
    if (name.isEmpty() || shares.isEmpty()) {
      throw new InvalidTrafficException("segment '%s': expected a name and at least one value".formatted(name));
    }
    for (Share share : shares) {
      if (share.value().isEmpty() || !(share.weight() > 0 && share.weight() < Double.POSITIVE_INFINITY)) {
        throw new InvalidTrafficException(
            "segment '%s': value '%s' has weight %s; expected a value and a weight above 0"
            .formatted(name, share.value(), share.weight()));
      }
    }
  }

  /// Reads `name=v1:w1,v2:w2`; a value without a weight weighs 1.
  public static SegmentMix parse(String text) {
    int equals = text.indexOf('=');
    if (equals <= 0) {
      throw new InvalidTrafficException("segment '%s': expected name=value:weight,value:weight".formatted(text));
    }
    var shares = new ArrayList<Share>();
    for (String part : text.substring(equals + 1).split(",", -1)) {
      int colon = part.lastIndexOf(':');
      try {
        shares.add(colon < 0
            ? new Share(part, 1)
            : new Share(part.substring(0, colon), Double.parseDouble(part.substring(colon + 1))));
      } catch (NumberFormatException e) {
        throw new InvalidTrafficException("segment '%s': weight '%s' in '%s' is not a number"
            .formatted(text.substring(0, equals), part.substring(colon + 1), part));
      }
    }
    return new SegmentMix(text.substring(0, equals), shares);
  }
}
