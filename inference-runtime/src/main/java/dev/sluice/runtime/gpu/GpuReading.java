package dev.sluice.runtime.gpu;

/// One GPU at one moment. What its driver does not tell is [Double#NaN].
///
/// @param utilization the share of the last moments in which it computed, 0 to 1
/// @param energyJoules used since the monitor was started
public record GpuReading(
    String uuid,
    double utilization,
    double memoryTotalBytes,
    double memoryUsedBytes,
    double powerWatts,
    double powerLimitWatts,
    double energyJoules) {}
