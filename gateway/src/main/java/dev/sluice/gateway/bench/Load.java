package dev.sluice.gateway.bench;

/// How a contender is driven.
sealed interface Load {
  /// So many requests in flight, each answer lets the next one go.
  record InFlight(int calls) implements Load {
    @Override
    public String toString() {
      return calls + " in flight";
    }
  }

  /// So many requests per second as independent callers send them, whatever the contender does.
  record Rate(double perSecond) implements Load {
    @Override
    public String toString() {
      return "%,.0f/s".formatted(perSecond);
    }
  }
}
