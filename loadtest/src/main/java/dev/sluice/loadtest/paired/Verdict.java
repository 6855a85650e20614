package dev.sluice.loadtest.paired;

/// What a measurement says about a goal; the later one outweighs the earlier in a row of several.
public enum Verdict {
  PASS("pass"),
  NOT_MEASURED("not measured"),
  TOO_NOISY("too noisy"),
  FALLS_SHORT("falls short");

  private final String text;

  Verdict(String text) {
    this.text = text;
  }

  /// As it is printed.
  public String text() {
    return text;
  }
}
