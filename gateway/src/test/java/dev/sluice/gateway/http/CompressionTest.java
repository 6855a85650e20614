package dev.sluice.gateway.http;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CompressionTest {

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "gzip | GZIP", "deflate | DEFLATE", "identity | IDENTITY", "br | IDENTITY", "* | IDENTITY",
        "gzip, deflate | GZIP", "deflate, gzip | DEFLATE", "br;q=1.0, gzip;q=0.8 | GZIP",
        "gzip;q=0.5, deflate;q=0.7 | DEFLATE", "gzip;q=0 | IDENTITY", "gzip;q=much | IDENTITY",
        "identity;q=1, gzip;q=0.9 | IDENTITY", "  GZIP ; q=0.3 | GZIP", ",,; | IDENTITY"
      })
  void theHeaviestWishThatCanBeMetIsMet(String accepted, Compression preferred) {
    assertThat(Compression.preferred(accepted)).isEqualTo(preferred);
  }

  @Test
  void whoSaysNothingGetsNothingCompressed() {
    assertThat(Compression.preferred(null)).isEqualTo(Compression.IDENTITY);
  }
}
