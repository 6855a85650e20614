package dev.sluice.runtime.source;

import java.net.URI;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// How `s3://` is spoken: to AWS, or to another store that speaks S3.
///
/// @param endpoint of a store that is not AWS, whose buckets are then parts of the path; null for AWS
/// @param accessKey null to ask without a signature, which public buckets allow
public record S3Settings(
    @Nullable URI endpoint,
    String region,
    @Nullable String accessKey,
    @Nullable String secretKey,
    @Nullable String sessionToken) {

  public S3Settings {
    if ((accessKey == null) != (secretKey == null)) {
      throw new IllegalArgumentException(
          accessKey == null
              ? "AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not; expected both or neither"
              : "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not; expected both or neither");
    }
    if (!region.matches("[a-z0-9-]{1,64}")) {
      throw new IllegalArgumentException("AWS_REGION is '%s'; expected a region such as us-east-1".formatted(region));
    }
    if (endpoint != null
        && (endpoint.getHost() == null
            || !("https".equals(endpoint.getScheme()) || "http".equals(endpoint.getScheme()))
            || endpoint.getRawQuery() != null
            || endpoint.getRawUserInfo() != null)) {
      throw new IllegalArgumentException(
          "AWS_ENDPOINT_URL is '%s'; expected http(s)://<host>[:<port>]".formatted(endpoint));
    }
  }

  /// From the variables that AWS' own tools read; what is empty counts as not set.
  public static S3Settings fromEnvironment(Map<String, String> environment) {
    String endpoint = first(environment, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
    String region = first(environment, "AWS_REGION", "AWS_DEFAULT_REGION");
    return new S3Settings(
        endpoint == null ? null : uri(endpoint),
        region == null ? "us-east-1" : region,
        first(environment, "AWS_ACCESS_KEY_ID"),
        first(environment, "AWS_SECRET_ACCESS_KEY"),
        first(environment, "AWS_SESSION_TOKEN"));
  }

  private static URI uri(String endpoint) {
    try {
      return URI.create(endpoint);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "AWS_ENDPOINT_URL is '%s'; expected http(s)://<host>[:<port>]".formatted(endpoint), e);
    }
  }

  private static @Nullable String first(Map<String, String> environment, String... names) {
    for (String name : names) {
      String value = environment.get(name);
      if (value != null && !value.isEmpty()) {
        return value;
      }
    }
    return null;
  }

  /// Without the secrets.
  @Override
  public String toString() {
    return "S3Settings[endpoint=%s, region=%s, %s]"
        .formatted(endpoint, region, accessKey == null ? "anonymous" : "signed by " + accessKey);
  }
}
