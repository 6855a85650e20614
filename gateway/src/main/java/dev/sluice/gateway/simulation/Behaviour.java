package dev.sluice.gateway.simulation;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What a version is like, as far as stop rules can tell.
///
/// @param failing the chance that a call fails
/// @param latencyMillis the median latency; latencies are log-normal with a standard deviation of [#LATENCY_SPREAD] of the
///     logarithm, of which a part belongs to the request and is the same for both versions
/// @param disagreeing the chance that an answer is farther from the baseline's than the note allows; of the baseline itself,
///     from its own answer to the same request
/// @param difference the mean distance of an answer from the baseline's, on the comparison's scale from 0 to 1
/// @param shift of the mean of every measured number, in standard deviations of its reference
/// @param missing the share of measured numbers that are none
/// @param loss how much larger the loss is than the baseline's, on the mean, once the truth is known
/// @param crashing the chance that a call breaks the runtime down
public record Behaviour(
    double failing,
    double latencyMillis,
    double disagreeing,
    double difference,
    double shift,
    double missing,
    double loss,
    double crashing) {

  /// Of the logarithm of a latency.
  public static final double LATENCY_SPREAD = 0.5;

  /// The part of it that is not the request's: what two runs of one request differ by.
  public static final double LATENCY_NOISE = 0.1;

  public static final Behaviour USUAL_BASELINE = new Behaviour(0.001, 10, 0, 0, 0, 0, 0, 0);

  private static final String KNOWN =
      "error=5%, latency=x1.1 or 20ms, disagreement=4%, difference=0.1, shift=0.5, missing=1%, loss=0.01, crash=0.1%";
  private static final Pattern ENTRY = Pattern.compile("([a-z]+)=([^=]+)");
  private static final Pattern PERCENT = Pattern.compile("([0-9]{1,3}(?:\\.[0-9]{1,9})?)%");
  private static final Pattern FACTOR = Pattern.compile("x([0-9]{1,6}(?:\\.[0-9]{1,6})?)");
  private static final Pattern MILLIS = Pattern.compile("([0-9]{1,9}(?:\\.[0-9]{1,6})?)ms");
  private static final Pattern NUMBER = Pattern.compile("-?[0-9]{1,9}(?:\\.[0-9]{1,9})?");

  /// This behaviour with what the text says changed: `error=5%, latency=x1.1`.
  public Behaviour with(String text) {
    Behaviour changed = this;
    for (String entry : text.split(",", -1)) {
      Matcher form = ENTRY.matcher(entry.strip());
      if (!form.matches()) {
        throw new IllegalArgumentException(
            "'%s' says nothing of a version; expected some of %s".formatted(entry.strip(), KNOWN));
      }
      changed = changed.with(form.group(1), form.group(2).strip());
    }
    return changed;
  }

  private Behaviour with(String name, String value) {
    return switch (name) {
      case "error" -> new Behaviour(percent(name, value), latencyMillis, disagreeing, difference, shift, missing, loss, crashing);
      case "latency" -> new Behaviour(failing, latency(value), disagreeing, difference, shift, missing, loss, crashing);
      case "disagreement" ->
          new Behaviour(failing, latencyMillis, percent(name, value), difference, shift, missing, loss, crashing);
      case "difference" ->
          new Behaviour(failing, latencyMillis, disagreeing, number(name, value, 0, 1), shift, missing, loss, crashing);
      case "shift" ->
          new Behaviour(failing, latencyMillis, disagreeing, difference, number(name, value, -100, 100), missing, loss, crashing);
      case "missing" ->
          new Behaviour(failing, latencyMillis, disagreeing, difference, shift, percent(name, value), loss, crashing);
      case "loss" ->
          new Behaviour(failing, latencyMillis, disagreeing, difference, shift, missing, number(name, value, -1, 1), crashing);
      case "crash" -> new Behaviour(failing, latencyMillis, disagreeing, difference, shift, missing, loss, percent(name, value));
      default -> throw new IllegalArgumentException("'%s' is unknown; expected some of %s".formatted(name, KNOWN));
    };
  }

  private static double percent(String name, String value) {
    Matcher form = PERCENT.matcher(value);
    double share = form.matches() ? Double.parseDouble(form.group(1)) / 100 : Double.NaN;
    if (!(share <= 1)) {
      throw new IllegalArgumentException("%s: '%s' is not a percentage from 0%% to 100%%".formatted(name, value));
    }
    return share;
  }

  private static double number(String name, String value, double least, double most) {
    double number = NUMBER.matcher(value).matches() ? Double.parseDouble(value) : Double.NaN;
    if (!(number >= least && number <= most)) {
      throw new IllegalArgumentException("%s: '%s' is not a number from %s to %s".formatted(name, value, least, most));
    }
    return number;
  }

  private double latency(String value) {
    Matcher factor = FACTOR.matcher(value);
    Matcher millis = MILLIS.matcher(value);
    double latency =
        factor.matches()
            ? latencyMillis * Double.parseDouble(factor.group(1))
            : millis.matches() ? Double.parseDouble(millis.group(1)) : 0;
    if (!(latency > 0 && latency <= 3_600_000)) {
      throw new IllegalArgumentException(
          "latency: '%s' is not a factor such as x1.1 or a time such as 20ms, above 0".formatted(value));
    }
    return latency;
  }
}
