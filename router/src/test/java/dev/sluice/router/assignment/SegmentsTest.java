package dev.sluice.router.assignment;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class SegmentsTest {

  private final Segments segments = segments("country=DE,tier=vip", "country=DE", "tier=vip");

  @Test
  void theFirstMatchWins() {
    assertThat(segmentOf(Map.of("country", "DE", "tier", "vip"))).isEqualTo("country=DE,tier=vip");
    assertThat(segmentOf(Map.of("country", "DE", "tier", "free"))).isEqualTo("country=DE");
    assertThat(segmentOf(Map.of("country", "DE"))).isEqualTo("country=DE");
    assertThat(segmentOf(Map.of("country", "FR", "tier", "vip"))).isEqualTo("tier=vip");
  }

  @Test
  void everythingThatNobodyDeclaredIsOther() {
    assertThat(segmentOf(Map.of())).isEqualTo("other");
    assertThat(segmentOf(Map.of("country", "FR"))).isEqualTo("other");
    assertThat(segmentOf(Map.of("country", "de"))).as("values are compared as they are written").isEqualTo("other");
    assertThat(segmentOf(Map.of("planet", "DE"))).isEqualTo("other");
    assertThat(segments.declaredAndOther()).isEqualTo(4);
  }

  @Test
  void withoutDeclaredSegmentsOtherIsAll() {
    Segments none = segments();
    assertThat(none.anyDeclared()).isFalse();
    assertThat(none.declaredAndOther()).isEqualTo(1);
    assertThat(none.of(Map.of("country", "DE")::get)).isZero();
    assertThat(none.name(0)).isEqualTo("other");
  }

  /// However many segments there are, a caller is asked once for each attribute that they begin with.
  @Test
  void aCallerIsAskedOnceForEachAttribute() {
    Segments many = segments(IntStream.range(0, 50).mapToObj(i -> "country=c" + i).toArray(String[]::new));
    List<String> asked = new ArrayList<>();
    int segment =
        many.of(
            attribute -> {
              asked.add(attribute);
              return "c49";
            });
    assertThat(segment).isEqualTo(49);
    assertThat(asked).containsExactly("country");
  }

  @Test
  void theFirstMatchWinsWhateverTheOrderOfAttributes() {
    for (long seed = 0; seed < 300; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      Set<String> rules = new LinkedHashSet<>();
      for (int r = 0; r < 12; r++) {
        String rule = condition(random);
        rules.add(random.nextBoolean() ? rule : rule + "," + condition(random));
      }
      List<SegmentRule> declared = rules.stream().map(SegmentRule::parse).toList();
      Segments some = new Segments(declared);
      for (int request = 0; request < 50; request++) {
        Map<String, String> caller = new HashMap<>();
        for (int a = 0; a < 3; a++) {
          if (random.nextInt(4) > 0) {
            caller.put("a" + a, "v" + random.nextInt(3));
          }
        }
        int first = 0;
        while (first < declared.size()
            && !declared.get(first).conditions().stream().allMatch(c -> c.value().equals(caller.get(c.attribute())))) {
          first++;
        }
        assertThat(some.of(caller::get)).as("seed %d, %s of %s", seed, caller, rules).isEqualTo(first);
      }
    }
  }

  private static String condition(SplittableRandom random) {
    return "a%d=v%d".formatted(random.nextInt(3), random.nextInt(3));
  }

  @Test
  void namesAndIndexesBelongTogether() {
    for (int segment = 0; segment < segments.declaredAndOther(); segment++) {
      assertThat(segments.indexOf(segments.name(segment))).isEqualTo(segment);
    }
    assertThat(segments.indexOf("country=FR")).isEqualTo(-1);
  }

  @Test
  void aSegmentIsReadFromItsTextAndNamedByIt() {
    SegmentRule rule = SegmentRule.parse(" country = DE , tier=a=b ");
    assertThat(rule.name()).isEqualTo("country=DE,tier=a=b");
    assertThat(rule.conditions())
        .containsExactly(new SegmentRule.Condition("country", "DE"), new SegmentRule.Condition("tier", "a=b"));
  }

  @ParameterizedTest
  @ValueSource(strings = {
      "", "country", "=DE", "country=", "Country=DE", "country=DE,", ",country=DE", "-x=1", "a b=1", "country=DE,,tier=vip"
  })
  void whatIsNotASegmentIsRefusedByName(String text) {
    assertThatThrownBy(() -> SegmentRule.parse(text))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("'" + text + "' is not a segment");
  }

  @Test
  void namesAndValuesAreBounded() {
    assertThat(SegmentRule.parse("a".repeat(63) + "=" + "v".repeat(128)).conditions()).hasSize(1);
    assertThatThrownBy(() -> SegmentRule.parse("a".repeat(64) + "=v")).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> SegmentRule.parse("a=" + "v".repeat(129))).isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void aSegmentWithoutAConditionWouldSwallowEverything() {
    assertThatThrownBy(() -> new SegmentRule("all", List.of())).hasMessageContaining("'all' has no condition");
  }

  @Test
  void aSegmentIsDeclaredOnce() {
    assertThatThrownBy(() -> segments("country=DE", " country=DE")).hasMessageContaining("'country=DE' is declared twice");
  }

  @Test
  void theirNumberIsBounded() {
    assertThat(segments(many(Segments.DECLARED_MAX)).declaredAndOther()).isEqualTo(Segments.DECLARED_MAX + 1);
    assertThatThrownBy(() -> segments(many(Segments.DECLARED_MAX + 1)))
        .hasMessage("257 segments declared, at most 256 allowed");
  }

  @Test
  void segmentsFoundOnTheWayComeAfterTheDeclaredOnesUpToABound() {
    Segments discovering = new Segments(List.of(SegmentRule.parse("country=DE")), new Segments.Discovery("tenant", 3));
    assertThat(discovering.declaredAndOther()).isEqualTo(2);
    assertThat(discovering.capacity()).isEqualTo(5);
    assertThat(discovering.discovered()).isEqualTo("tenant");
    assertThat(segments.capacity()).as("nothing is found unless the note says so").isEqualTo(segments.declaredAndOther());
    assertThat(segments.discovered()).isNull();
    assertThatThrownBy(() -> new Segments.Discovery("tenant", Segments.DISCOVERED_MAX + 1))
        .hasMessage("discover: attribute 'tenant', max 1025: expected a lower-case name and 1 to 1024 values");
    assertThatThrownBy(() -> new Segments.Discovery("Tenant", 1)).hasMessageContaining("attribute 'Tenant'");
  }

  private static String[] many(int count) {
    return IntStream.range(0, count).mapToObj(i -> "country=" + i).toArray(String[]::new);
  }

  private String segmentOf(Map<String, String> attributes) {
    return segments.name(segments.of(attributes::get));
  }

  private static Segments segments(String... texts) {
    return new Segments(List.of(texts).stream().map(SegmentRule::parse).toList());
  }
}
