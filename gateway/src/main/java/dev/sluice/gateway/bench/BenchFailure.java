package dev.sluice.gateway.bench;

/// Something could not be measured. The message is a sentence for a person, and takes the figure's place.
final class BenchFailure extends RuntimeException {
  BenchFailure(String message) {
    super(message);
  }
}
