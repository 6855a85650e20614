package dev.sluice.gateway.http;

import dev.sluice.gateway.inference.ParameterText;
import dev.sluice.gateway.routing.CallerAttributes;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.ModelInferRequest;
import org.eclipse.jetty.http.HttpFields;
import org.jspecify.annotations.Nullable;

/// A caller's attributes: HTTP headers first, then the request's parameters.
record HttpCaller(HttpFields headers, ModelInferRequest request) implements CallerAttributes {

  @Override
  public @Nullable String value(String name) {
    String header = headers.get(name);
    if (header != null) {
      return header;
    }
    InferParameter parameter = request.getParametersMap().get(name);
    return parameter == null ? null : ParameterText.of(parameter);
  }
}
