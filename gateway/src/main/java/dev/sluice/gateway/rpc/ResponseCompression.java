package dev.sluice.gateway.rpc;

import io.grpc.Compressor;
import io.grpc.CompressorRegistry;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import java.io.IOException;
import java.io.OutputStream;
import java.util.zip.GZIPOutputStream;

/// Compresses every answer of the calls that it stands before, as far as their callers accept gzip; gRPC sees to that.
///
/// @param level of deflate: 1 the quickest, 9 the smallest
public record ResponseCompression(int level) implements ServerInterceptor {

  private static final String GZIP = "gzip";

  /// For the server, which looks its compressors up here by their name.
  public CompressorRegistry registry() {
    CompressorRegistry registry = CompressorRegistry.newEmptyInstance();
    registry.register(new Gzip(level));
    return registry;
  }

  @Override
  public <ReqT, RespT> ServerCall.Listener<ReqT> interceptCall(
      ServerCall<ReqT, RespT> call, Metadata headers, ServerCallHandler<ReqT, RespT> next) {
    call.setCompression(GZIP);
    return next.startCall(call, headers);
  }

  private record Gzip(int level) implements Compressor {

    @Override
    public String getMessageEncoding() {
      return GZIP;
    }

    @Override
    public OutputStream compress(OutputStream out) throws IOException {
      return new LeveledGzip(out, level);
    }
  }

  private static final class LeveledGzip extends GZIPOutputStream {
    LeveledGzip(OutputStream out, int level) throws IOException {
      super(out);
      def.setLevel(level);
    }
  }
}
