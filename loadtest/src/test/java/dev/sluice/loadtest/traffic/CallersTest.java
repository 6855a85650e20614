package dev.sluice.loadtest.traffic;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.grpc.Metadata;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CallersTest {
  @Test
  void aKeyKeepsItsSegmentInEveryRequest() {
    var callers = new Callers(
        new Keys(50, Keys.Spread.UNIFORM), List.of(SegmentMix.parse("country=DE:1,FR:1,IT:1")), Map.of(), 3);
    var countryOf = new HashMap<String, String>();
    for (long n = 0; n < 5_000; n++) {
      Metadata headers = headers(callers, n);
      String country = value(headers, "sluice-segment-country");
      assertThat(countryOf.merge(value(headers, "sluice-key"), country, (before, now) -> before)).isEqualTo(country);
    }
    assertThat(countryOf).hasSize(50);
    assertThat(countryOf.values()).contains("DE", "FR", "IT");
  }

  @Test
  void segmentsAreDrawnByWeightWhenThereAreNoKeys() {
    var callers = new Callers(Keys.NONE, List.of(SegmentMix.parse("tier=vip:1,plain:9")), Map.of(), 11);
    Map<String, Integer> seen = counts(callers, "sluice-segment-tier", 100_000);
    assertThat(seen.getOrDefault("vip", 0) / 100_000.0).isCloseTo(0.1, within(0.005));
    assertThat(value(headers(callers, 0), "sluice-key")).isNull();
  }

  @Test
  void theZipfSpreadMakesTheKthKeyOneKthAsBusyAsTheFirst() {
    var callers = new Callers(new Keys(1_000, Keys.Spread.ZIPF), List.of(), Map.of(), 5);
    Map<String, Integer> seen = counts(callers, "sluice-key", 300_000);
    double first = seen.getOrDefault("key-0", 0);
    assertThat(seen.getOrDefault("key-1", 0) / first).isCloseTo(0.5, within(0.02));
    assertThat(seen.getOrDefault("key-9", 0) / first).isCloseTo(0.1, within(0.01));
  }

  @Test
  void theUniformSpreadUsesEveryKeyEquallyOften() {
    var callers = new Callers(new Keys(10, Keys.Spread.UNIFORM), List.of(), Map.of(), 5);
    assertThat(counts(callers, "sluice-key", 100_000).values())
        .hasSize(10).allSatisfy(count -> assertThat(count).isCloseTo(10_000, within(500)));
  }

  @Test
  void fixedMetadataGoesWithEveryRequest() {
    var callers = new Callers(Keys.NONE, List.of(), Map.of("sluice-tenant", "a"), 1);
    assertThat(value(headers(callers, 17), "sluice-tenant")).isEqualTo("a");
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', value = {
      "country        | expected name=value:weight",
      "country=       | value ''",
      "country=DE:x   | weight 'x' in 'DE:x' is not a number",
      "country=DE:0   | value 'DE' has weight 0.0",
      "country=DE:-1  | value 'DE' has weight -1.0",
      "country=DE,    | value ''",
  })
  void aSegmentThatCannotBeReadIsNamedWithWhatWasSeen(String text, String complaint) {
    assertThatThrownBy(() -> SegmentMix.parse(text)).isInstanceOf(InvalidTrafficException.class)
        .hasMessageContaining("segment 'country'").hasMessageContaining(complaint);
  }

  @ParameterizedTest
  @ValueSource(strings = {"a b", "grpc-timeout", "token-bin", "größe"})
  void metadataNamesThatGrpcWouldRefuseAreRefusedBefore(String name) {
    assertThatThrownBy(() -> new Callers(Keys.NONE, List.of(), Map.of(name, "x"), 1))
        .isInstanceOf(InvalidTrafficException.class).hasMessageContaining("metadata '%s'".formatted(name));
  }

  @Test
  void aMetadataValueBeyondAsciiIsRefused() {
    assertThatThrownBy(() -> new Callers(Keys.NONE, List.of(), Map.of("city", "Köln"), 1))
        .isInstanceOf(InvalidTrafficException.class).hasMessageContaining("'Köln'");
  }

  private static Map<String, Integer> counts(Callers callers, String name, int requests) {
    var counts = new HashMap<String, Integer>();
    for (long n = 0; n < requests; n++) {
      counts.merge(String.valueOf(value(headers(callers, n), name)), 1, Integer::sum);
    }
    return counts;
  }

  private static Metadata headers(Callers callers, long n) {
    var headers = new Metadata();
    callers.addMetadata(n, headers);
    return headers;
  }

  private static @Nullable String value(Metadata headers, String name) {
    return headers.get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
  }
}
