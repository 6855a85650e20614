package dev.sluice.gateway.cli.picture;

import dev.sluice.proto.control.v1.Rollout;
import java.io.PrintWriter;
import java.time.Instant;
import java.util.List;

/// Follows a rollout on standard output. On a terminal the picture is redrawn in place; elsewhere there is one line for
/// each change of the rollout itself, and none for evidence that only grows, so that a log stays readable.
public final class LivePicture {
  private final PrintWriter out;
  private final Terminal terminal;
  private int linesDrawn;
  private String lastLine = "";

  public LivePicture(PrintWriter out, Terminal terminal) {
    this.out = out;
    this.terminal = terminal;
  }

  public void show(Rollout rollout) {
    if (terminal.interactive()) {
      redraw(RolloutPicture.on(terminal).lines(rollout));
    } else {
      append(rollout);
    }
    out.flush();
  }

  /// One write for the whole picture: the terminal never shows half of it.
  private void redraw(List<String> lines) {
    // Taller than the terminal, the top would scroll away and every redraw would leave a copy behind.
    List<String> shown = lines.subList(0, Math.min(lines.size(), Math.max(1, terminal.rows() - 1)));
    StringBuilder frame = new StringBuilder();
    if (linesDrawn > 0) {
      frame.append("\u001b[").append(linesDrawn).append("A\r");
    }
    for (String line : shown) {
      frame.append(line).append("\u001b[K\n");
    }
    frame.append("\u001b[J");
    linesDrawn = shown.size();
    out.print(frame);
  }

  private void append(Rollout rollout) {
    String line = RolloutPicture.line(rollout);
    if (!line.equals(lastLine)) {
      Instant time = Instant.ofEpochSecond(rollout.getUpdateTime().getSeconds());
      out.println(time + " " + line);
      lastLine = line;
    }
  }
}
