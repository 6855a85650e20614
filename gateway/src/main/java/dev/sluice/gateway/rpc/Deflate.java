package dev.sluice.gateway.rpc;

import io.grpc.Decompressor;
import io.grpc.DecompressorRegistry;
import java.io.InputStream;
import java.util.zip.InflaterInputStream;

/// Reads requests compressed with `deflate`, which gRPC's C core offers its clients beside gzip and gRPC for Java does not know.
public record Deflate() implements Decompressor {

  /// What a server reads: gzip, deflate, and what is not compressed.
  public static DecompressorRegistry beside(DecompressorRegistry others) {
    return others.with(new Deflate(), true);
  }

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
