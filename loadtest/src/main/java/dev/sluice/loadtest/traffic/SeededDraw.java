package dev.sluice.loadtest.traffic;

/// Random numbers without state: a number in [0, 1) for each (seed, n), the same on every thread and in every run.
final class SeededDraw {
  private SeededDraw() {}

  static double unit(long seed, long n) {
    // Seed and n are mixed one after the other: summed only, seed 1 would be seed 0 shifted by one request.
    return (mix(mix(seed) + n) >>> 11) * 0x1p-53;
  }

  /// The finishing step of SplitMix64 (Steele, Lea, Flood 2014): every input bit moves about half of the output bits.
  private static long mix(long value) {
    long z = value + 0x9e3779b97f4a7c15L;
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }
}
