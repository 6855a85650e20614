package dev.sluice.gateway.rpc;

import static java.nio.charset.StandardCharsets.UTF_8;

/// Keeps what an error says within the trailers that every client accepts.
///
/// A failed call's sentence and details travel as HTTP/2 trailers, and gRPC's clients for Java, C++ and Python refuse more than
/// 8 KiB of them: a caller who sent a name of a megabyte would learn nothing but that. The sentence travels twice, once escaped
/// (up to three bytes for one) and once inside the details in base64 (four for three).
public final class Trailers {

  /// The longest sentence that travels alone, in bytes of UTF-8: at most 6.5 KB on the wire.
  public static final int SENTENCE_BYTES_MAX = 1500;

  private Trailers() {}

  /// The text, or as much of its beginning as fits.
  public static String fitting(String text, int bytesMax) {
    if (text.length() * 3L <= bytesMax) {
      return text;
    }
    byte[] utf8 = text.substring(0, Math.min(text.length(), bytesMax + 1)).getBytes(UTF_8);
    if (utf8.length <= bytesMax) {
      return text;
    }
    int end = bytesMax;
    while (end > 0 && (utf8[end] & 0xC0) == 0x80) {
      end--; // never within a character
    }
    return new String(utf8, 0, end, UTF_8) + "...";
  }
}
