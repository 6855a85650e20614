package dev.sluice.gateway.bench;

/// What a process has used since it began.
///
/// @param allocatedBytes by Java, -1 where that is not known
/// @param residentBytes now, 0 where that is not known
record Usage(long cpuNanos, long allocatedBytes, long residentBytes) {}
