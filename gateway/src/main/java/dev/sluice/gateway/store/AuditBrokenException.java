package dev.sluice.gateway.store;

/// The audit trail is not what was written. The message names the first event that does not fit.
public final class AuditBrokenException extends StoreException {
  AuditBrokenException(String message) {
    super(message, null);
  }
}
