package dev.sluice.gateway.simulation;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// How many requests a model receives.
///
/// @param perMilli requests per millisecond, above 0
public record Traffic(double perMilli) {

  private static final Pattern FORM = Pattern.compile("([0-9]{1,9}(?:\\.[0-9]{1,6})?)/(s|min|h)");

  public Traffic {
    if (!(perMilli > 0 && perMilli <= 10_000)) {
      throw new IllegalArgumentException(
          "traffic: %s requests a second is not above 0 and at most 10,000,000".formatted(perMilli * 1_000));
    }
  }

  /// Reads `600/min`, `50/s` or `1000/h`.
  public static Traffic parse(String text) {
    Matcher form = FORM.matcher(text);
    if (!form.matches()) {
      throw new IllegalArgumentException("'%s' is not traffic such as 50/s, 600/min or 1000/h".formatted(text));
    }
    double millis =
        switch (form.group(2)) {
          case "s" -> 1_000;
          case "min" -> 60_000;
          default -> 3_600_000;
        };
    return new Traffic(Double.parseDouble(form.group(1)) / millis);
  }
}
