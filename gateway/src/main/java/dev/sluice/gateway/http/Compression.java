package dev.sluice.gateway.http;

import dev.sluice.gateway.admission.ByteBudget;
import dev.sluice.gateway.routing.InferenceFailure;
import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Locale;
import java.util.zip.DeflaterOutputStream;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import java.util.zip.InflaterInputStream;
import java.util.zip.ZipException;
import org.jspecify.annotations.Nullable;

/// The content encodings of the protocol's clients.
enum Compression {
  IDENTITY,
  GZIP,
  DEFLATE;

  /// Below it, the time costs more than the bytes.
  static final int BYTES_MIN = 1024;

  private static final int BUFFER_BYTES = 1 << 13;

  /// What a `Content-Encoding` names; null when it is none of these.
  static @Nullable Compression named(@Nullable String encoding) {
    if (encoding == null) {
      return IDENTITY;
    }
    return switch (encoding.strip().toLowerCase(Locale.ROOT)) {
      case "", "identity" -> IDENTITY;
      case "gzip", "x-gzip" -> GZIP;
      case "deflate" -> DEFLATE;
      default -> null;
    };
  }

  /// What a client would like best of an `Accept-Encoding`; the first of equals. Nothing said is no wish.
  static Compression preferred(@Nullable String accepted) {
    Compression best = IDENTITY;
    double bestWeight = 0;
    if (accepted != null) {
      for (String item : accepted.split(",", -1)) {
        String[] parts = item.split(";", -1);
        Compression compression = named(parts[0]);
        double weight = weight(parts);
        if (compression != null && !parts[0].isBlank() && weight > bestWeight) {
          best = compression;
          bestWeight = weight;
        }
      }
    }
    return best;
  }

  private static double weight(String[] parts) {
    for (int i = 1; i < parts.length; i++) {
      String part = parts[i].strip();
      if (part.startsWith("q=")) {
        try {
          return Double.parseDouble(part.substring(2));
        } catch (NumberFormatException e) {
          return 0;
        }
      }
    }
    return 1;
  }

  String header() {
    return name().toLowerCase(Locale.ROOT);
  }

  /// A request's body as it was before it was compressed.
  ///
  /// @param share where its room is taken from
  /// @throws Blocks.FullException if that is more than `bytesMax`
  /// @throws ByteBudget.SpentException if there is no room for it
  RequestBody.Bytes decompressed(RequestBody.Bytes body, int bytesMax, ByteBudget.Share share) throws InferenceFailure {
    if (this == IDENTITY) {
      return body;
    }
    Growing plain = new Growing(bytesMax, Math.min(bytesMax, 4L * body.length()));
    byte[] buffer = new byte[BUFFER_BYTES];
    try (InputStream in = inflating(new ByteArrayInputStream(body.array(), 0, body.length()))) {
      for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
        share.take(count);
        plain.append(ByteBuffer.wrap(buffer, 0, count));
      }
    } catch (EOFException | ZipException e) {
      throw InferenceFailure.invalid(
          "the request's body is not whole %s data: %s".formatted(header(), e.getMessage()));
    } catch (IOException e) {
      throw new UncheckedIOException("no input or output happens in memory", e);
    }
    return plain.bytes();
  }

  private InputStream inflating(InputStream in) throws IOException {
    return this == GZIP ? new GZIPInputStream(in, BUFFER_BYTES) : new InflaterInputStream(in);
  }

  /// @throws Blocks.FullException if the outcome is more than `bytesMax`
  Blocks compressed(List<ByteBuffer> buffers, int bytesMax) {
    Blocks blocks = new Blocks(bytesMax);
    byte[] chunk = new byte[BUFFER_BYTES];
    try (OutputStream out = this == GZIP ? new GZIPOutputStream(blocks) : new DeflaterOutputStream(blocks)) {
      for (ByteBuffer buffer : buffers) {
        ByteBuffer source = buffer.duplicate();
        while (source.hasRemaining()) {
          int count = Math.min(chunk.length, source.remaining());
          source.get(chunk, 0, count);
          out.write(chunk, 0, count);
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException("no input or output happens in memory", e);
    }
    return blocks;
  }
}
