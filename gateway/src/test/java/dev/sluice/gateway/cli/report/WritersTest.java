package dev.sluice.gateway.cli.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class WritersTest {

  private static final String EVIL = "<img src=x onerror=\"a('b')\">&|`*_[x](http://y)\u0000\u001b[31m";

  private static final List<Block> BLOCKS =
      List.of(
          new Block.Heading(1, EVIL), new Block.Paragraph(EVIL), new Block.Banner(Block.Tone.BAD, EVIL),
          new Block.Items(List.of(EVIL)), new Block.Table(List.of(EVIL), List.of(List.of(EVIL))),
          new Block.Verbatim(EVIL, EVIL), new Block.Plot(EVIL, "<svg></svg>", List.of(EVIL), List.of(new Block.Key("line0", EVIL))));

  @Test
  void whateverSomebodyWroteIsTextInHtml() {
    String html = HtmlWriter.write(EVIL, BLOCKS);

    assertThat(html).doesNotContain("<img", "onerror=\"", "\u0000", "\u001b");
    assertThat(html).contains("&lt;img src=x onerror=&quot;a(&#39;b&#39;)&quot;&gt;&amp;");
    assertThat(html).contains("default-src 'none'");
  }

  @Test
  void whateverSomebodyWroteIsTextInMarkdown() {
    String outsideFences = MarkdownWriter.write(BLOCKS.subList(0, 5));

    assertThat(outsideFences).doesNotContain("<img", "[x](", "\u001b").contains("\\|", "\\`");
  }

  @Test
  void aFenceIsLongerThanAnyInTheText() {
    assertThat(MarkdownWriter.write(List.of(new Block.Verbatim("note", "a\n```\nb"))))
        .isEqualTo("note:\n\n````\na\n```\nb\n````\n\n");
  }

  @Test
  void figuresStandToTheRight() {
    Block.Table table = new Block.Table(List.of("name", "count"), List.of(List.of("a", "1,204"), List.of("b", "-")));

    assertThat(MarkdownWriter.write(List.of(table))).isEqualTo("| name | count |\n|---|---:|\n| a | 1,204 |\n| b | - |\n\n");
  }
}
