package dev.sluice.runtime.repository;

import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.proto.inference.ModelDynamicBatching;
import dev.sluice.proto.inference.ModelInstanceGroup;
import dev.sluice.proto.inference.ModelQueuePolicy;
import dev.sluice.runtime.model.Batching;
import dev.sluice.runtime.model.Priorities;
import dev.sluice.runtime.model.QueuePolicy;
import dev.sluice.runtime.model.QueuePolicy.TimeoutAction;
import dev.sluice.runtime.model.Scheduling;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/// A completed configuration's `instance_group` and `dynamic_batching` as the queue's own values.
final class Schedules {
  private static final long NANOS_MAX = TimeUnit.DAYS.toNanos(36_500 / 2);

  private Schedules() {}

  /// @param rowsMax of one batch; 0 when the model has no batches
  static Scheduling of(ModelConfig config, int rowsMax) {
    if (!config.hasDynamicBatching()) {
      return new Scheduling(instances(config), null, Priorities.none());
    }
    ModelDynamicBatching dynamic = config.getDynamicBatching();
    Batching batching =
        rowsMax == 0
            ? null
            : new Batching(
                rowsMax,
                dynamic.getPreferredBatchSizeList(),
                nanos(dynamic.getMaxQueueDelayMicroseconds()),
                dynamic.getPreserveOrdering());
    return new Scheduling(instances(config), batching, priorities(dynamic));
  }

  // A group that names GPUs has its count of instances on each of them.
  private static int instances(ModelConfig config) {
    return config.getInstanceGroupList().stream()
        .mapToInt(group -> Math.multiplyExact(group.getCount(), Math.max(1, group.getGpusCount())))
        .sum();
  }

  private static Priorities priorities(ModelDynamicBatching dynamic) {
    QueuePolicy defaultPolicy = policy(dynamic.getDefaultQueuePolicy());
    int levels = Math.toIntExact(dynamic.getPriorityLevels());
    if (levels == 0) {
      return new Priorities(0, 0, defaultPolicy, Map.of());
    }
    Map<Integer, QueuePolicy> policies = new HashMap<>();
    dynamic
        .getPriorityQueuePolicyMap()
        .forEach((level, policy) -> policies.put(Math.toIntExact(level), policy(policy)));
    return new Priorities(levels, Math.toIntExact(dynamic.getDefaultPriorityLevel()), defaultPolicy, policies);
  }

  private static QueuePolicy policy(ModelQueuePolicy policy) {
    long sizeMax = Integer.toUnsignedLong(policy.getMaxQueueSize());
    return new QueuePolicy(
        policy.getTimeoutAction() == ModelQueuePolicy.TimeoutAction.DELAY ? TimeoutAction.DELAY : TimeoutAction.REJECT,
        nanos(policy.getDefaultTimeoutMicroseconds()),
        policy.getAllowTimeoutOverride(),
        sizeMax == 0 ? QueuePolicy.SIZE_MAX_DEFAULT : (int) Math.min(sizeMax, Integer.MAX_VALUE));
  }

  /// Microseconds without a sign, at most a lifetime: sums with a clock must not overflow.
  private static long nanos(long micros) {
    return micros < 0 ? NANOS_MAX : Math.min(TimeUnit.MICROSECONDS.toNanos(micros), NANOS_MAX);
  }
}
