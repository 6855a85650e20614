package dev.sluice.gateway.inference;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.sluice.gateway.routing.CallerAttributes;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.ModelInferRequest;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/// A caller's attributes: gRPC metadata first, then the request's parameters.
///
/// Only names that a rollout asks for are looked up, so the number of cached metadata keys is bounded by the notes.
record Caller(@Nullable Metadata headers, Map<String, InferParameter> parameters) implements CallerAttributes {

  private static final Context.Key<Metadata> HEADERS = Context.key("sluice-headers");
  private static final Map<String, Metadata.Key<String>> KEYS = new ConcurrentHashMap<>();

  /// What gRPC asks for where a name ends in `-bin`.
  private static final Metadata.BinaryMarshaller<String> TEXT_IN_BYTES =
      new Metadata.BinaryMarshaller<>() {
        @Override
        public byte[] toBytes(String value) {
          return value.getBytes(UTF_8);
        }

        @Override
        public String parseBytes(byte[] serialized) {
          return new String(serialized, UTF_8);
        }
      };

  /// The caller of the call in progress on this thread.
  static Caller of(ModelInferRequest request) {
    return new Caller(HEADERS.get(), request.getParametersMap());
  }

  /// A header of the call in progress on this thread, or null.
  static @Nullable String header(String name) {
    Metadata headers = HEADERS.get();
    return headers == null ? null : headers.get(KEYS.computeIfAbsent(name, Caller::key));
  }

  @Override
  public @Nullable String value(String name) {
    if (headers != null) {
      String header = headers.get(KEYS.computeIfAbsent(name, Caller::key));
      if (header != null) {
        return header;
      }
    }
    InferParameter parameter = parameters.get(name);
    return parameter == null ? null : ParameterText.of(parameter);
  }

  private static Metadata.Key<String> key(String name) {
    return name.endsWith(Metadata.BINARY_HEADER_SUFFIX)
        ? Metadata.Key.of(name, TEXT_IN_BYTES)
        : Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  /// Carries a call's metadata to its handler.
  static final class HeaderInterceptor implements ServerInterceptor {
    @Override
    public <ReqT, RespT> ServerCall.Listener<ReqT> interceptCall(
        ServerCall<ReqT, RespT> call, Metadata headers, ServerCallHandler<ReqT, RespT> next) {
      return Contexts.interceptCall(Context.current().withValue(HEADERS, headers), call, headers, next);
    }
  }
}
