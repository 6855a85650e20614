package dev.sluice.gateway.store;

import org.jspecify.annotations.Nullable;

/// The storage failed. After a failed commit the change may or may not have been written down: [Store#revision] tells.
public class StoreException extends RuntimeException {
  StoreException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }
}
