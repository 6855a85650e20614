package dev.sluice.gateway.store;

/// Another process, or another part of this one, has the store open.
public final class StoreLockedException extends StoreException {
  StoreLockedException(String message) {
    super(message, null);
  }
}
