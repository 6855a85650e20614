package dev.sluice.gateway.rpc;

import io.grpc.Codec;
import io.grpc.Decompressor;
import io.grpc.DecompressorRegistry;
import java.io.IOException;
import java.io.InputStream;
import java.util.zip.GZIPInputStream;
import java.util.zip.InflaterInputStream;
import org.jspecify.annotations.Nullable;

/// The encodings of requests that a server reads: gzip, `deflate`, which gRPC's C core offers its clients beside it and gRPC for
/// Java does not know, and none.
public final class Decompression {

  private Decompression() {}

  public static DecompressorRegistry registry() {
    return DecompressorRegistry.emptyInstance()
        .with(Codec.Identity.NONE, false)
        .with(new Gzip(), true)
        .with(new Deflate(), true);
  }

  private record Gzip() implements Decompressor {
    @Override
    public String getMessageEncoding() {
      return "gzip";
    }

    @Override
    public InputStream decompress(InputStream compressed) {
      return new LateGzip(compressed);
    }
  }

  private record Deflate() implements Decompressor {
    @Override
    public String getMessageEncoding() {
      return "deflate";
    }

    /// In zlib's framing, as HTTP means the word.
    @Override
    public InputStream decompress(InputStream compressed) {
      return new InflaterInputStream(compressed);
    }
  }

  /// Looks at gzip's header when it is read from, and not before: what is wrong with it is then found where the message is
  /// parsed, and told to the caller.
  private static final class LateGzip extends InputStream {
    private final InputStream compressed;
    private @Nullable InputStream unfolded;

    LateGzip(InputStream compressed) {
      this.compressed = compressed;
    }

    private InputStream unfolded() throws IOException {
      InputStream in = unfolded;
      if (in == null) {
        in = new GZIPInputStream(compressed);
        unfolded = in;
      }
      return in;
    }

    @Override
    public int read() throws IOException {
      return unfolded().read();
    }

    @Override
    public int read(byte[] bytes, int offset, int length) throws IOException {
      return unfolded().read(bytes, offset, length);
    }

    @Override
    public void close() throws IOException {
      try (compressed) {
        if (unfolded != null) {
          unfolded.close();
        }
      }
    }
  }
}
