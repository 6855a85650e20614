package dev.sluice.gateway.http;

import dev.sluice.gateway.routing.InferenceFailure;

/// The one place where failures of inference become HTTP status codes: those that Triton's clients know, and for what it has
/// none, the code whose meaning is nearest.
final class HttpStatuses {

  static final int OK = 200;
  static final int BAD_REQUEST = 400;
  static final int NOT_FOUND = 404;
  static final int METHOD_NOT_ALLOWED = 405;
  static final int REQUEST_TIMEOUT = 408;
  static final int CONTENT_TOO_LARGE = 413;
  static final int INTERNAL_ERROR = 500;
  static final int NOT_IMPLEMENTED = 501;
  static final int SERVICE_UNAVAILABLE = 503;

  /// Not registered, but what proxies have long written for a caller that went away; nobody is there to read it.
  private static final int CLIENT_CLOSED_REQUEST = 499;

  private static final int GATEWAY_TIMEOUT = 504;

  private HttpStatuses() {}

  static int of(InferenceFailure.Kind kind) {
    return switch (kind) {
      case UNKNOWN_MODEL, UNKNOWN_VERSION, UNKNOWN_SHARED_MEMORY -> NOT_FOUND;
      case INVALID_REQUEST, LOAD_INVALID -> BAD_REQUEST;
      case UNSUPPORTED -> NOT_IMPLEMENTED;
      case EXECUTION_FAILED, LOAD_FAILED -> INTERNAL_ERROR;
      case MODEL_NOT_READY, OUT_OF_MEMORY, OVERLOADED, TOO_LATE, SHED, QUEUE_TIMEOUT, LOAD_NOT_ALLOWED, SHUTTING_DOWN ->
          SERVICE_UNAVAILABLE;
      case DEADLINE_EXCEEDED -> GATEWAY_TIMEOUT;
      case CANCELLED -> CLIENT_CLOSED_REQUEST;
    };
  }
}
