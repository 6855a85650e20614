package dev.sluice.gateway.bench;

import java.io.IOException;
import java.time.Duration;

/// Something that answers requests to the bench's models, in a process of its own.
interface Contender {
  String name();

  /// Drives it and measures.
  ///
  /// @param lead driven before the measured time
  Round round(BenchModel model, Load load, Duration lead, Duration measured) throws IOException, InterruptedException;
}
