package dev.sluice.gateway.cli.report;

import java.util.Locale;

/// A plot's rectangle and what every plot draws around its lines. Colours and sizes of letters are the style sheet's.
public record Frame(int width, int height, int leftMargin, int rightMargin, int topMargin, int bottomMargin) {
  public double left() {
    return leftMargin;
  }

  public double right() {
    return width - rightMargin;
  }

  public double top() {
    return topMargin;
  }

  public double bottom() {
    return height - bottomMargin;
  }

  public StringBuilder begin(String title) {
    return new StringBuilder(
        "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">".formatted(width, height, HtmlWriter.escape(title)));
  }

  public void gridY(StringBuilder svg, double at, String label) {
    svg.append("<line class=\"grid\" x1=\"%s\" x2=\"%s\" y1=\"%3$s\" y2=\"%3$s\"/>".formatted(number(left()), number(right()), number(at)));
    svg.append("<text x=\"%s\" y=\"%s\" text-anchor=\"end\">%s</text>".formatted(number(left() - 5), number(at + 4), HtmlWriter.escape(label)));
  }

  public void tickX(StringBuilder svg, double at, String label) {
    svg.append("<line class=\"grid\" x1=\"%1$s\" x2=\"%1$s\" y1=\"%2$s\" y2=\"%3$s\"/>".formatted(number(at), number(top()), number(bottom())));
    String anchor = at < left() + 20 ? "start" : at > right() - 20 ? "end" : "middle";
    svg.append("<text x=\"%s\" y=\"%s\" text-anchor=\"%s\">%s</text>".formatted(
        number(at), number(bottom() + 18), anchor, HtmlWriter.escape(label)));
  }

  public String end(StringBuilder svg) {
    return svg.append("</svg>").toString();
  }

  /// A coordinate.
  public static String number(double value) {
    return String.format(Locale.ROOT, "%.1f", value);
  }
}
