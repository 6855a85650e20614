package dev.sluice.gateway.cli.picture;

import java.io.Console;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/// What standard output is connected to: whether somebody watches it, whether it takes colour, and how much fits.
///
/// @param interactive text can be drawn over: a person's terminal, not a file or a pipe
public record Terminal(boolean interactive, boolean colour, int columns, int rows) {
  private static final int COLUMNS = 100;
  private static final int ROWS = 40;

  public Terminal {
    if (columns < 1 || rows < 1) {
      throw new IllegalArgumentException("a terminal of %d columns and %d rows has no room".formatted(columns, rows));
    }
  }

  /// A file or a pipe: no colour, no redrawing, a page wide enough for the whole picture.
  public static Terminal none() {
    return new Terminal(false, false, COLUMNS, ROWS);
  }

  /// The terminal of this process, asked once. `NO_COLOR` with any value, or `TERM=dumb`, keeps colour away.
  @SuppressWarnings("SystemConsoleNull") // Java 25 is back to null where there is no terminal.
  public static Terminal detect() {
    Console console = System.console();
    Map<String, String> environment = System.getenv();
    boolean dumb = "dumb".equals(environment.get("TERM"));
    if (console == null || !console.isTerminal() || dumb) {
      return none();
    }
    boolean colour = environment.getOrDefault("NO_COLOR", "").isEmpty();
    return parseSize(sttySize(), colour);
  }

  static Terminal parseSize(String rowsAndColumns, boolean colour) {
    String[] size = rowsAndColumns.strip().split(" ", -1);
    try {
      // A serial line or a bare pseudo-terminal reports "0 0": unknown.
      int rows = Integer.parseInt(size[0]);
      int columns = Integer.parseInt(size[size.length - 1]);
      return new Terminal(true, colour, columns > 0 ? columns : COLUMNS, rows > 0 ? rows : ROWS);
    } catch (NumberFormatException _) {
      return new Terminal(true, colour, COLUMNS, ROWS);
    }
  }

  /// Java does not tell the size of a terminal; every POSIX system has `stty`, and without it the defaults hold.
  private static String sttySize() {
    try {
      Process stty = new ProcessBuilder("stty", "size")
          .redirectInput(new File("/dev/tty"))
          .redirectError(ProcessBuilder.Redirect.DISCARD)
          .start();
      if (!stty.waitFor(1, TimeUnit.SECONDS)) {
        stty.destroy();
        return "";
      }
      return new String(stty.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
    } catch (IOException _) {
      return "";
    } catch (InterruptedException _) {
      Thread.currentThread().interrupt();
      return "";
    }
  }
}
