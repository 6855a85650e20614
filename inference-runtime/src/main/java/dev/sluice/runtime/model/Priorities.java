package dev.sluice.runtime.model;

import java.util.Map;

/// The levels of urgency that a queue knows, 1 the most urgent, and how each may wait.
///
/// @param levels 0: requests have no priority, and all wait under the default policy
/// @param defaultLevel the level of a request that names none; 0 when there are no levels
/// @param policies of the levels that differ from the default
public record Priorities(int levels, int defaultLevel, QueuePolicy defaultPolicy, Map<Integer, QueuePolicy> policies) {

  public Priorities {
    policies = Map.copyOf(policies);
    if (levels < 0) {
      throw new IllegalArgumentException("priority levels are %d; expected at least 0".formatted(levels));
    }
    if (levels == 0 ? defaultLevel != 0 : defaultLevel < 1 || defaultLevel > levels) {
      throw new IllegalArgumentException(
          "default priority level is %d; expected %s".formatted(defaultLevel, levels == 0 ? "0" : "1 to " + levels));
    }
    for (int level : policies.keySet()) {
      if (level < 1 || level > levels) {
        throw new IllegalArgumentException(
            "a queue policy is given for priority level %d; there are %d levels".formatted(level, levels));
      }
    }
  }

  /// One queue, first come, first served.
  public static Priorities none() {
    return new Priorities(0, 0, QueuePolicy.defaults(), Map.of());
  }

  /// The policy of a level; of level 0 the default one.
  public QueuePolicy policy(int level) {
    return policies.getOrDefault(level, defaultPolicy);
  }
}
