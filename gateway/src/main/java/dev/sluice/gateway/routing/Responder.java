package dev.sluice.gateway.routing;

/// Where the end of a request is reported: exactly one of the two is called, exactly once, on any thread.
public interface Responder {

  void answer(Answer answer);

  void fail(InferenceFailure failure);
}
