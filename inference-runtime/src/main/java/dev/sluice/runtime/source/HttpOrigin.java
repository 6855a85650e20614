package dev.sluice.runtime.source;

import dev.sluice.runtime.source.SourceSettings.Patience;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLHandshakeException;

/// A file behind an HTTP URL; of a store that speaks S3, too, for which each request is signed.
///
/// Redirects are followed here and not by the client, so that none leads from TLS to plain text unnoticed.
final class HttpOrigin implements Origin {
  private static final int REDIRECTS_MAX = 5;
  private static final int ERROR_BYTES_MAX = 4096;
  private static final Pattern ERROR_CODE = Pattern.compile("<Code>([A-Za-z0-9]{1,64})</Code>");
  private static final Pattern CONTENT_RANGE = Pattern.compile("bytes (\\d{1,18})-\\d{1,18}/(\\d{1,18})");

  private final HttpClient client;
  private final Patience patience;
  private final URI uri;
  private final String name;
  private final boolean plainHttp;
  private final int redirectsMax;
  private final Function<URI, Map<String, String>> headers;

  private HttpOrigin(
      HttpClient client,
      Patience patience,
      URI uri,
      String name,
      boolean plainHttp,
      int redirectsMax,
      Function<URI, Map<String, String>> headers) {
    this.client = client;
    this.patience = patience;
    this.uri = uri;
    this.name = name;
    this.plainHttp = plainHttp;
    this.redirectsMax = redirectsMax;
    this.headers = headers;
  }

  /// @param plainHttp whether it and what it redirects to may be plain text
  static HttpOrigin of(HttpClient client, Patience patience, URI uri, boolean plainHttp) {
    return new HttpOrigin(client, patience, uri, shown(uri), plainHttp, REDIRECTS_MAX, _ -> Map.of());
  }

  /// An object of a store that speaks S3, which never redirects: what it answers instead names the right region.
  ///
  /// @param name what messages call it
  /// @param headers that sign a request for the URL
  static HttpOrigin signed(
      HttpClient client, Patience patience, URI uri, String name, Function<URI, Map<String, String>> headers) {
    return new HttpOrigin(client, patience, uri, name, true, 0, headers);
  }

  @Override
  public Body open(long offset) throws SourceException, InterruptedException {
    URI at = uri;
    for (int redirects = 0; ; redirects++) {
      HttpResponse<InputStream> response = send(at, offset);
      int code = response.statusCode();
      if (code == 200 || code == 206) {
        return body(response, offset);
      }
      // What is left of an error is not worth a connection.
      try (InputStream error = response.body()) {
        if (!isRedirect(code) || redirectsMax == 0) {
          throw refusal(response, error);
        }
      } catch (IOException e) {
        throw SourceException.passing("'%s' broke off: %s".formatted(this, words(e)));
      }
      if (redirects == redirectsMax) {
        throw SourceException.lasting("'%s' redirects more than %d times".formatted(this, redirectsMax));
      }
      at = redirected(at, response);
    }
  }

  private HttpResponse<InputStream> send(URI at, long offset) throws SourceException, InterruptedException {
    HttpRequest.Builder request = HttpRequest.newBuilder(at).GET();
    headers.apply(at).forEach(request::header);
    if (offset > 0) {
      request.header("Range", "bytes=%d-".formatted(offset));
    }
    try {
      return client.send(request.build(), BodyHandlers.ofInputStream());
    } catch (HttpConnectTimeoutException e) {
      throw SourceException.passing(
          "'%s': no connection to %s within %d ms".formatted(this, authority(at), patience.connect().toMillis()));
    } catch (ConnectException e) {
      throw SourceException.passing("'%s': no connection to %s: %s".formatted(this, authority(at), refusal(e)));
    } catch (SSLHandshakeException e) {
      throw SourceException.lasting("'%s': %s is not trusted: %s".formatted(this, authority(at), words(e)));
    } catch (IOException e) {
      throw SourceException.passing("'%s' broke off: %s".formatted(this, words(e)));
    }
  }

  private Body body(HttpResponse<InputStream> response, long offset) throws SourceException {
    OptionalLong length = response.headers().firstValueAsLong("Content-Length");
    if (response.statusCode() == 200) {
      return new Body(response.body(), 0, length.orElse(-1));
    }
    Matcher range = CONTENT_RANGE.matcher(response.headers().firstValue("Content-Range").orElse(""));
    if (!range.matches() || Long.parseLong(range.group(1)) != offset) {
      close(response);
      throw SourceException.lasting(
          "'%s' answered 206 with the range '%s'; expected one from byte %d"
              .formatted(this, response.headers().firstValue("Content-Range").orElse(""), offset));
    }
    return new Body(response.body(), offset, Long.parseLong(range.group(2)));
  }

  private SourceException refusal(HttpResponse<InputStream> response, InputStream body) throws IOException {
    int code = response.statusCode();
    Matcher reason = ERROR_CODE.matcher(new String(body.readNBytes(ERROR_BYTES_MAX), StandardCharsets.UTF_8));
    String why = reason.find() ? " (%s)".formatted(reason.group(1)) : "";
    Optional<String> region = response.headers().firstValue("x-amz-bucket-region");
    String where =
        isRedirect(code) && region.isPresent()
            ? "; the bucket is in the region '%s'".formatted(region.get())
            : "";
    String message = "'%s' answered %d%s; expected 200%s".formatted(this, code, why, where);
    boolean passing = code == 408 || code == 429 || (code >= 500 && code != 501 && code != 505);
    return passing ? SourceException.passing(message) : SourceException.lasting(message);
  }

  private URI redirected(URI from, HttpResponse<InputStream> response) throws SourceException {
    String location = response.headers().firstValue("Location").orElse("");
    URI to;
    try {
      to = from.resolve(location);
    } catch (IllegalArgumentException e) {
      throw SourceException.lasting("'%s' redirects to '%s', which is not a URL".formatted(this, location));
    }
    boolean allowed = "https".equals(to.getScheme()) || (plainHttp && "http".equals(to.getScheme()));
    if (location.isEmpty() || to.getHost() == null || !allowed) {
      throw SourceException.lasting(
          "'%s' redirects to '%s'; expected an https URL".formatted(this, location.isEmpty() ? "" : shown(to)));
    }
    return to;
  }

  private static boolean isRedirect(int code) {
    return code == 301 || code == 302 || code == 303 || code == 307 || code == 308;
  }

  private static void close(HttpResponse<InputStream> response) {
    try {
      response.body().close();
    } catch (IOException e) {
      // Nothing of it was wanted.
    }
  }

  /// Without its query, which may hold a signature.
  private static String shown(URI uri) {
    return "%s://%s%s".formatted(uri.getScheme(), authority(uri), uri.getRawPath() == null ? "" : uri.getRawPath());
  }

  private static String authority(URI uri) {
    return uri.getPort() < 0 ? String.valueOf(uri.getHost()) : uri.getHost() + ":" + uri.getPort();
  }

  private static String refusal(ConnectException e) {
    String words = words(e);
    // The JDK's client has forgotten by then what the system said.
    return words.equals(ClosedChannelException.class.getSimpleName()) ? "refused" : words;
  }

  /// The innermost message there is: the client wraps its exceptions and often leaves the outer ones silent.
  static String words(Throwable e) {
    String words = e.getClass().getSimpleName();
    int depth = 0;
    for (Throwable cause = e; cause != null && depth < 10; cause = cause.getCause(), depth++) {
      words = cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage();
    }
    return words;
  }

  @Override
  public String toString() {
    return name;
  }
}
