package dev.sluice.gateway.store;

import org.jspecify.annotations.Nullable;

/// A database that is damaged, or not Sluice's, or newer than this Sluice. It has been left as it was found.
public final class StoreUnreadableException extends StoreException {
  StoreUnreadableException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }
}
