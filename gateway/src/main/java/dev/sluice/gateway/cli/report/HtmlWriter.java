package dev.sluice.gateway.cli.report;

import java.util.List;

/// One HTML page that needs nothing else: style and pictures are inside, there is no script, and the page itself forbids to fetch
/// anything. Whatever a note or a caller wrote is text in it.
public final class HtmlWriter {

  private static final String STYLE =
      """
      :root { color-scheme: light dark; --ink: #1c2128; --dim: #59636e; --page: #ffffff; --card: #f6f8fa; --rule: #d1d9e0;
        --grid: #e4e8ec; --blue: #2563c9; --orange: #b94f0c; --red: #c21f2f; --green: #1a7f37; --violet: #7b45c8; --teal: #0f766e;
        --olive: #7a6500; }
      @media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #9198a1; --page: #0d1117; --card: #161b22;
        --rule: #30363d; --grid: #262c34; --blue: #6ea8fe; --orange: #ffa657; --red: #ff7b72; --green: #56d364;
        --violet: #c297ff; --teal: #4fd1c5; --olive: #e3c65a; } }
      * { box-sizing: border-box; }
      body { margin: 0 auto; max-width: 66rem; padding: 1rem 1.2rem 3rem; background: var(--page); color: var(--ink);
        font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
      h1 { font-size: 1.6rem; line-height: 1.2; margin: .6rem 0; }
      h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--rule); }
      h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
      p { margin: .5rem 0; max-width: 46rem; }
      ul { padding-left: 1.2rem; margin: .5rem 0; } li { margin: .2rem 0; max-width: 46rem; }
      .banner { padding: .7rem 1rem; border-left: 5px solid var(--dim); background: var(--card); font-weight: 600; max-width: none; }
      .banner.good { border-color: var(--green); } .banner.bad { border-color: var(--red); }
      .table { overflow-x: auto; margin: .6rem 0; }
      table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
      th, td { padding: .3rem .7rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--grid); }
      th { color: var(--dim); font-weight: 600; border-color: var(--rule); white-space: nowrap; }
      td.good { color: var(--green); } td.bad { color: var(--red); }
      .figures { text-align: right; } .figures, .time { white-space: nowrap; }
      .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; margin: .6rem 0; }
      figure { margin: 0; padding: .8rem; background: var(--card); border: 1px solid var(--rule); border-radius: 6px; min-width: 0;
        max-width: 44rem; }
      figcaption { font-size: .9rem; font-weight: 600; margin-bottom: .3rem; }
      .keys { list-style: none; padding: 0; margin: .3rem 0 0; font-size: .82rem; color: var(--dim); }
      .keys i { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; vertical-align: -.08rem; border-radius: 2px; }
      svg { display: block; width: 100%; height: auto; }
      svg text { font-size: 12px; fill: var(--dim); font-family: inherit; }
      svg .grid { stroke: var(--grid); } svg .axis { stroke: var(--dim); }
      svg path[class^=line] { fill: none; stroke-width: 2; stroke-linejoin: round; }
      svg line.boundary { stroke: var(--red); stroke-width: 1.5; stroke-dasharray: 6 4; } svg text.boundary { fill: var(--red); }
      svg line.step { stroke: var(--dim); stroke-dasharray: 2 3; } svg text.step { fill: var(--ink); }
      svg path.baseline { fill: var(--blue); fill-opacity: .55; } svg path.candidate { fill: var(--orange); fill-opacity: .6; }
      svg line.baseline { stroke: var(--blue); } svg line.candidate { stroke: var(--orange); }
      i.baseline { background: var(--blue); } i.candidate { background: var(--orange); }
      svg .line0 { stroke: var(--orange); } i.line0 { background: var(--orange); }
      svg .line1 { stroke: var(--blue); } i.line1 { background: var(--blue); }
      svg .line2 { stroke: var(--green); } i.line2 { background: var(--green); }
      svg .line3 { stroke: var(--violet); } i.line3 { background: var(--violet); }
      svg .line4 { stroke: var(--teal); } i.line4 { background: var(--teal); }
      svg .line5 { stroke: var(--olive); } i.line5 { background: var(--olive); }
      details { margin: .6rem 0; } summary { cursor: pointer; font-weight: 600; }
      pre { background: var(--card); border: 1px solid var(--rule); border-radius: 6px; padding: .8rem; overflow-x: auto;
        font: .82rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: normal; }
      @media (max-width: 40rem) { body { padding: .6rem .8rem 2rem; } h1 { font-size: 1.35rem; } svg text { font-size: 15px; }
        figure { padding: .5rem; } th, td { padding-right: .5rem; } table { font-size: .82rem; }
        td:not(.figures):not(.time):last-child { min-width: 9rem; } }
      @media print { figure { break-inside: avoid; } details { display: block; } }
      """;

  private HtmlWriter() {}

  public static String write(String title, List<Block> blocks) {
    StringBuilder page = new StringBuilder(1 << 16);
    page.append("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
        .append("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
        .append("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n")
        .append("<title>").append(escape(title)).append("</title>\n<style>\n").append(STYLE).append("</style>\n</head>\n<body>\n");
    boolean inPlots = false;
    for (Block block : blocks) {
      boolean plot = block instanceof Block.Plot;
      if (plot != inPlots) {
        page.append(plot ? "<div class=\"plots\">\n" : "</div>\n");
        inPlots = plot;
      }
      write(block, page);
    }
    return page.append(inPlots ? "</div>\n" : "").append("</body>\n</html>\n").toString();
  }

  private static void write(Block block, StringBuilder page) {
    switch (block) {
      case Block.Heading(int level, String text) -> page.append("<h%1$d>%2$s</h%1$d>\n".formatted(level, escape(text)));
      case Block.Paragraph(String text) -> page.append("<p>").append(escape(text)).append("</p>\n");
      case Block.Banner(Block.Tone tone, String text) ->
          page.append("<p class=\"banner %s\">%s</p>\n".formatted(style(tone), escape(text)));
      case Block.Items(List<String> items) -> {
        page.append("<ul>\n");
        items.forEach(item -> page.append("<li>").append(escape(item)).append("</li>\n"));
        page.append("</ul>\n");
      }
      case Block.Table table -> table(table, page);
      case Block.Verbatim(String summary, String text) ->
          page.append("<details><summary>").append(escape(summary)).append("</summary>\n<pre>").append(escape(text)).append("</pre></details>\n");
      case Block.Plot plot -> plot(plot, page);
    }
  }

  private static String style(Block.Tone tone) {
    return switch (tone) {
      case GOOD -> "good";
      case BAD -> "bad";
      case OPEN -> "open";
    };
  }

  private static void table(Block.Table table, StringBuilder page) {
    page.append("<div class=\"table\"><table>\n<thead>");
    row(table, table.head(), "th", page);
    page.append("</thead>\n<tbody>\n");
    table.rows().forEach(row -> row(table, row, "td", page));
    page.append("</tbody>\n</table></div>\n");
  }

  private static void row(Block.Table table, List<String> cells, String tag, StringBuilder page) {
    page.append("<tr>");
    for (int i = 0; i < cells.size(); i++) {
      page.append('<').append(tag).append(style(table, i, cells.get(i))).append(escape(cells.get(i)))
          .append("</").append(tag).append('>');
    }
    page.append("</tr>\n");
  }

  private static String style(Block.Table table, int column, String cell) {
    String tone = switch (cell) {
      case "pass" -> " class=\"good\">";
      case "falls short" -> " class=\"bad\">";
      default -> "";
    };
    return !tone.isEmpty() ? tone
        : table.isFigures(column) ? " class=\"figures\">" : cell.matches("\\d{4}-\\d\\d-\\d\\dT.*Z") ? " class=\"time\">" : ">";
  }

  private static void plot(Block.Plot plot, StringBuilder page) {
    page.append("<figure><figcaption>").append(escape(plot.title())).append("</figcaption>\n").append(plot.svg()).append("\n<ul class=\"keys\">");
    for (Block.Key key : plot.keys()) {
      page.append("<li><i class=\"%s\"></i>%s</li>".formatted(escape(key.style()), escape(key.text())));
    }
    page.append("</ul></figure>\n");
  }

  /// Safe between tags and in quoted attributes. Control characters, which no HTML text may hold, are shown as their sign.
  static String escape(String text) {
    StringBuilder escaped = new StringBuilder(text.length() + 16);
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '&' -> escaped.append("&amp;");
        case '<' -> escaped.append("&lt;");
        case '>' -> escaped.append("&gt;");
        case '"' -> escaped.append("&quot;");
        case '\'' -> escaped.append("&#39;");
        case '\n', '\t' -> escaped.append(c);
        default -> escaped.append(c < ' ' || (c >= 0x7f && c < 0xa0) ? '\ufffd' : c);
      }
    }
    return escaped.toString();
  }
}
