package dev.sluice.router.assignment;

import org.jspecify.annotations.Nullable;

/// What a request's caller says about itself, such as `country` or `tier`.
@FunctionalInterface
public interface Attributes {

  /// The value of an attribute, or null when the caller did not say.
  @Nullable String value(String attribute);

  /// The same of all callers of one kind: a request then needs no object of its own to be asked.
  @FunctionalInterface
  interface Of<C> {

    /// The value of a caller's attribute, or null when it did not say.
    @Nullable String value(C caller, String attribute);
  }
}
