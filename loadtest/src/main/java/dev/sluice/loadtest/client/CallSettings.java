package dev.sluice.loadtest.client;

import dev.sluice.loadtest.traffic.Traffic;
import java.time.Duration;

/// What all calls of a load test have in common.
public record CallSettings(Traffic traffic, CallObserver observer, Duration deadline) {}
