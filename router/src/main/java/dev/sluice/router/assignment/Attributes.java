package dev.sluice.router.assignment;

import org.jspecify.annotations.Nullable;

/// What a request's caller says about itself, such as `country` or `tier`.
@FunctionalInterface
public interface Attributes {

  /// The value of an attribute, or null when the caller did not say.
  @Nullable String value(String attribute);
}
