package dev.sluice.gateway.routing;

import java.util.regex.Pattern;

/// A name for a version, such as `stable`. It begins with a letter, so nothing is both a label and a number.
public final class VersionLabel {

  /// The most labels that a model can have.
  public static final int PER_MODEL_MAX = 32;

  private static final Pattern NAME = Pattern.compile("^[A-Za-z][A-Za-z0-9._-]{0,62}$");

  private VersionLabel() {}

  public static boolean isOne(String name) {
    return NAME.matcher(name).matches();
  }

  /// A look at the first character: enough to tell it from a number on the way of a request.
  static boolean looksLikeOne(String version) {
    char first = version.charAt(0);
    return (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z');
  }
}
