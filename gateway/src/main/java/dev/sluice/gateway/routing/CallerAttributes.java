package dev.sluice.gateway.routing;

import org.jspecify.annotations.Nullable;

/// What a caller says about its request beside the tensors, such as `sluice-key` or `sluice-segment-country`.
@FunctionalInterface
public interface CallerAttributes {

  /// What sticks a caller to a variant.
  String KEY = "sluice-key";

  /// Whose request it is.
  String TENANT = "sluice-tenant";

  /// Followed by a segment attribute's name.
  String SEGMENT_PREFIX = "sluice-segment-";

  /// The value of a `sluice-...` attribute, or null when the caller did not send it.
  @Nullable String value(String name);
}
