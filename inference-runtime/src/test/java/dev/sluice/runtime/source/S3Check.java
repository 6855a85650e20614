package dev.sluice.runtime.source;

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.jspecify.annotations.Nullable;

/// What a store that speaks S3 does before it answers a GET: it computes the signature (version 4) anew.
///
/// Written from AWS' description of the signing process, and apart from the library that signs.
final class S3Check {
  private static final Pattern AUTHORIZATION =
      Pattern.compile(
          "AWS4-HMAC-SHA256 Credential=(?<key>[^/]+)/(?<date>\\d{8})/(?<region>[^/]+)/s3/aws4_request, ?"
              + "SignedHeaders=(?<headers>[^,]+), ?Signature=(?<signature>[0-9a-f]{64})");

  private final String accessKey;
  private final String secretKey;
  private final String region;
  private final @Nullable String sessionToken;

  S3Check(String accessKey, String secretKey, String region, @Nullable String sessionToken) {
    this.accessKey = accessKey;
    this.secretKey = secretKey;
    this.region = region;
    this.sessionToken = sessionToken;
  }

  /// Serves objects by their raw paths to those who signed, and S3's errors to the others.
  FileServer.Answer serving(Map<String, byte[]> objects) {
    return exchange -> {
      String fault = faultOf(exchange);
      byte[] object = objects.get(exchange.getRequestURI().getRawPath());
      if (fault != null) {
        refuse(exchange, 403, fault);
      } else if (object == null) {
        refuse(exchange, 404, "NoSuchKey");
      } else {
        FileServer.send(exchange, object);
      }
    };
  }

  private static void refuse(HttpExchange exchange, int code, String reason) throws IOException {
    byte[] body = "<?xml version=\"1.0\"?><Error><Code>%s</Code></Error>".formatted(reason).getBytes(StandardCharsets.UTF_8);
    exchange.sendResponseHeaders(code, body.length);
    exchange.getResponseBody().write(body);
  }

  private @Nullable String faultOf(HttpExchange exchange) {
    Headers headers = exchange.getRequestHeaders();
    Matcher authorization = AUTHORIZATION.matcher(String.valueOf(headers.getFirst("Authorization")));
    if (!authorization.matches()) {
      return "AccessDenied";
    }
    if (!authorization.group("key").equals(accessKey)) {
      return "InvalidAccessKeyId";
    }
    if (!authorization.group("region").equals(region)) {
      return "AuthorizationHeaderMalformed";
    }
    if (sessionToken != null && !sessionToken.equals(headers.getFirst("x-amz-security-token"))) {
      return "InvalidToken";
    }
    List<String> signed = Arrays.asList(authorization.group("headers").split(";"));
    // Whatever says something to the store has to be under the signature.
    for (String name : headers.keySet()) {
      if (name.toLowerCase(java.util.Locale.ROOT).startsWith("x-amz-") && !signed.contains(name.toLowerCase(java.util.Locale.ROOT))) {
        return "SignatureDoesNotMatch";
      }
    }
    if (!signed.contains("host")) {
      return "SignatureDoesNotMatch";
    }
    String canonical =
        "%s\n%s\n%s\n%s\n%s\n%s"
            .formatted(
                exchange.getRequestMethod(),
                exchange.getRequestURI().getRawPath(),
                "",
                signed.stream()
                    .map(name -> "%s:%s\n".formatted(name, String.valueOf(headers.getFirst(name)).strip()))
                    .collect(Collectors.joining()),
                String.join(";", signed),
                headers.getFirst("x-amz-content-sha256"));
    String scope = "%s/%s/s3/aws4_request".formatted(authorization.group("date"), region);
    String toSign =
        "AWS4-HMAC-SHA256\n%s\n%s\n%s".formatted(headers.getFirst("x-amz-date"), scope, sha256(canonical));
    byte[] key = hmac(("AWS4" + secretKey).getBytes(StandardCharsets.UTF_8), authorization.group("date"));
    for (String part : List.of(region, "s3", "aws4_request")) {
      key = hmac(key, part);
    }
    String expected = HexFormat.of().formatHex(hmac(key, toSign));
    return expected.equals(authorization.group("signature")) ? null : "SignatureDoesNotMatch";
  }

  private static String sha256(String text) {
    try {
      return HexFormat.of()
          .formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
    } catch (GeneralSecurityException e) {
      throw new AssertionError(e);
    }
  }

  private static byte[] hmac(byte[] key, String text) {
    try {
      Mac mac = Mac.getInstance("HmacSHA256");
      mac.init(new SecretKeySpec(key, "HmacSHA256"));
      return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
    } catch (GeneralSecurityException e) {
      throw new AssertionError(e);
    }
  }
}
