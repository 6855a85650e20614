package dev.sluice.gateway.inference;

import dev.sluice.proto.inference.InferBatchStatistics;
import dev.sluice.proto.inference.InferStatistics;
import dev.sluice.proto.inference.ModelStatistics;
import dev.sluice.proto.inference.StatisticDuration;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.model.VersionStatistics.BatchSize;
import dev.sluice.runtime.model.VersionStatistics.Duration;
import dev.sluice.runtime.model.VersionStatistics.Snapshot;

/// A version's statistics in the protocol's message.
final class StatisticsMessages {

  private StatisticsMessages() {}

  static ModelStatistics of(ModelVersion version) {
    Snapshot now = version.statistics().snapshot();
    ModelStatistics.Builder statistics =
        ModelStatistics.newBuilder()
            .setName(version.model())
            .setVersion(Long.toString(version.version()))
            .setLastInference(now.lastInferenceMillis())
            .setInferenceCount(now.inferenceCount())
            .setExecutionCount(now.executionCount())
            .setInferenceStats(
                InferStatistics.newBuilder()
                    .setSuccess(message(now.request().duration()))
                    .setFail(message(now.failure()))
                    .setQueue(message(now.queue().duration()))
                    .setComputeInput(message(now.computeInput().duration()))
                    .setComputeInfer(message(now.computeInfer().duration()))
                    .setComputeOutput(message(now.computeOutput().duration()))
                    .setCacheHit(message(now.cacheHit()))
                    .setCacheMiss(message(now.cacheMiss())));
    now.batches().forEach(size -> statistics.addBatchStats(message(size)));
    return statistics.build();
  }

  private static InferBatchStatistics message(BatchSize size) {
    return InferBatchStatistics.newBuilder()
        .setBatchSize(size.rows())
        .setComputeInput(message(new Duration(size.count(), size.inputNanos())))
        .setComputeInfer(message(new Duration(size.count(), size.inferNanos())))
        .setComputeOutput(message(new Duration(size.count(), size.outputNanos())))
        .build();
  }

  private static StatisticDuration message(Duration duration) {
    return StatisticDuration.newBuilder().setCount(duration.count()).setNs(duration.nanos()).build();
  }
}
