package dev.sluice.runtime.source;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import software.amazon.awssdk.http.SdkHttpMethod;
import software.amazon.awssdk.http.SdkHttpRequest;
import software.amazon.awssdk.http.auth.aws.signer.AwsV4HttpSigner;
import software.amazon.awssdk.identity.spi.AwsCredentialsIdentity;
import software.amazon.awssdk.identity.spi.AwsSessionCredentialsIdentity;

/// What has to be asked for an object `s3://<bucket>/<key>`: the URL, and the headers that sign it.
///
/// Signing is AWS' own library's: signature version 4 has corners (keys with dots, empty headers, sessions) that one
/// meets late. The rest of AWS' client is left out: one GET is all that is needed, and it brings a second HTTP client.
final class S3Requests {
  private static final Pattern BUCKET = Pattern.compile("[a-zA-Z0-9][a-zA-Z0-9._-]{2,254}");
  private static final Pattern OWN_HOST_NAME = Pattern.compile("[a-z0-9][a-z0-9-]{1,61}[a-z0-9]");
  private static final String SCHEME = "s3://";

  private final S3Settings settings;
  private final AwsV4HttpSigner signer = AwsV4HttpSigner.create();

  S3Requests(S3Settings settings) {
    this.settings = settings;
  }

  static boolean understands(String url) {
    return url.startsWith(SCHEME);
  }

  /// @param url `s3://<bucket>/<key>`, the key as it is, with nothing escaped
  URI uri(String url) throws SourceException {
    int slash = url.indexOf('/', SCHEME.length());
    String bucket = slash < 0 ? "" : url.substring(SCHEME.length(), slash);
    String key = slash < 0 ? "" : url.substring(slash + 1);
    if (!BUCKET.matcher(bucket).matches() || key.isEmpty()) {
      throw SourceException.lasting("'%s' is not an object; expected s3://<bucket>/<key>".formatted(url));
    }
    // An HTTP client or a proxy would make another path of it.
    for (String part : key.split("/", -1)) {
      if (part.equals(".") || part.equals("..")) {
        throw SourceException.lasting("'%s': a key with a part '%s' cannot be asked for".formatted(url, part));
      }
    }
    URI endpoint = settings.endpoint();
    if (endpoint != null) {
      String base = endpoint.toString().replaceFirst("/+$", "");
      return URI.create("%s/%s/%s".formatted(base, bucket, escaped(key)));
    }
    String domain = settings.region().startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
    String host = "s3.%s.%s".formatted(settings.region(), domain);
    // AWS' certificate covers one label before the host, so a bucket with dots is a part of the path.
    return OWN_HOST_NAME.matcher(bucket).matches()
        ? URI.create("https://%s.%s/%s".formatted(bucket, host, escaped(key)))
        : URI.create("https://%s/%s/%s".formatted(host, bucket, escaped(key)));
  }

  /// None when there is no key to sign with.
  Map<String, String> headers(URI uri) {
    if (settings.accessKey() == null || settings.secretKey() == null) {
      return Map.of();
    }
    AwsCredentialsIdentity identity =
        settings.sessionToken() == null
            ? AwsCredentialsIdentity.create(settings.accessKey(), settings.secretKey())
            : AwsSessionCredentialsIdentity.create(
                settings.accessKey(), settings.secretKey(), settings.sessionToken());
    SdkHttpRequest signed =
        signer
            .sign(
                request ->
                    request
                        .identity(identity)
                        .request(SdkHttpRequest.builder().method(SdkHttpMethod.GET).uri(uri).build())
                        .putProperty(AwsV4HttpSigner.SERVICE_SIGNING_NAME, "s3")
                        .putProperty(AwsV4HttpSigner.REGION_NAME, settings.region())
                        // S3 signs the path as it is sent.
                        .putProperty(AwsV4HttpSigner.DOUBLE_URL_ENCODE, false)
                        .putProperty(AwsV4HttpSigner.NORMALIZE_PATH, false))
            .request();
    Map<String, String> headers = new HashMap<>();
    signed.forEachHeader(
        (name, values) -> {
          // The HTTP client writes the host itself, and the same one.
          if (!name.toLowerCase(Locale.ROOT).equals("host")) {
            headers.put(name, String.join(",", values));
          }
        });
    return headers;
  }

  private static String escaped(String key) {
    StringBuilder escaped = new StringBuilder();
    for (byte b : key.getBytes(StandardCharsets.UTF_8)) {
      char c = (char) (b & 0xff);
      boolean plain =
          (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || "-._~/".indexOf(c) >= 0;
      if (plain) {
        escaped.append(c);
      } else {
        escaped.append('%').append(Character.toUpperCase(Character.forDigit(c >> 4, 16)));
        escaped.append(Character.toUpperCase(Character.forDigit(c & 0xf, 16)));
      }
    }
    return escaped.toString();
  }
}
