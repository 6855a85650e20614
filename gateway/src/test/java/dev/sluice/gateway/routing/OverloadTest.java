package dev.sluice.gateway.routing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.awaitility.Awaitility.await;

import com.google.common.util.concurrent.ListenableFuture;
import com.google.protobuf.Any;
import com.google.protobuf.util.Durations;
import com.google.rpc.RetryInfo;
import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.Refusal;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.TamperedRuntime;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.testing.OnnxModels;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// What callers hear when there is more to do than can be done: real models, a real server, real time.
@Timeout(120)
class OverloadTest {

  @TempDir Path models;
  @TempDir Path data;

  private final TamperedRuntime runtime = new TamperedRuntime();

  private RunningGateway start(int queueMax) throws Exception {
    OnnxModels.slowLinear(2, 1, 1, 300).writeTo(models, Calls.MODEL, 1);
    Files.writeString(
        models.resolve("m/config.pbtxt"),
        """
        max_batch_size: 1
        instance_group { kind: KIND_CPU count: 1 }
        dynamic_batching { default_queue_policy { max_queue_size: %d } }
        """
            .formatted(queueMax));
    return RunningGateway.start(models, data, runtime);
  }

  private static ListenableFuture<ModelInferResponse> ask(RunningGateway gateway, ModelInferRequest request) {
    return GRPCInferenceServiceGrpc.newFutureStub(gateway.inferenceChannel()).modelInfer(request);
  }

  private static int waiting(RunningGateway gateway) {
    return (int)
        Objects.requireNonNull(gateway.gateway().routes().version(Calls.MODEL, 1))
            .statistics()
            .snapshot()
            .pendingRequests();
  }

  @Test
  void whoCannotBeAnsweredInTimeHearsItAtOnceAndWhenToComeAgain() throws Exception {
    long runNanos = TimeUnit.MILLISECONDS.toNanos(50);
    try (RunningGateway gateway = start(100)) {
      runtime.tamper(
          1,
          (real, inputs, outputs, control) -> {
            LockSupport.parkNanos(runNanos);
            return real.run(inputs, outputs, control);
          });
      for (int i = 0; i < 40; i++) {
        var _ = gateway.inference().modelInfer(Calls.of(i).build()); // now its pace is known
      }
      List<ListenableFuture<ModelInferResponse>> before = new ArrayList<>();
      for (int i = 0; i < 20; i++) {
        before.add(ask(gateway, Calls.of(i).build()));
      }
      await().until(() -> waiting(gateway) >= 15);
      long start = System.nanoTime();
      StatusRuntimeException late =
          catchThrowableOfType(
              StatusRuntimeException.class,
              () -> gateway.inference().withDeadlineAfter(400, TimeUnit.MILLISECONDS).modelInfer(Calls.of(1).build()));
      assertThat(System.nanoTime() - start).isLessThan(TimeUnit.MILLISECONDS.toNanos(400));
      assertThat(late.getStatus().getCode()).isEqualTo(Status.Code.UNAVAILABLE);
      assertThat(Refusal.of(() -> { throw late; }).reason()).isEqualTo("TOO_LATE");
      assertThat(retryMillis(late)).isBetween(300L, 3_000L);
      for (var call : before) {
        assertThat(call.get().getOutputsCount()).isOne();
      }
    }
  }

  private static long retryMillis(StatusRuntimeException refused) throws Exception {
    for (Any detail : Objects.requireNonNull(StatusProto.fromThrowable(refused)).getDetailsList()) {
      if (detail.is(RetryInfo.class)) {
        return Durations.toMillis(detail.unpack(RetryInfo.class).getRetryDelay());
      }
    }
    throw new AssertionError("no RetryInfo in " + refused);
  }

  @Test
  void aTenantWhoAsksForLittleGetsThePlaceOfOneWhoAsksForMuch() throws Exception {
    Semaphore runs = new Semaphore(0);
    try (RunningGateway gateway = start(3)) {
      runtime.tamper(
          1,
          (real, inputs, outputs, control) -> {
            runs.acquireUninterruptibly();
            return real.run(inputs, outputs, control);
          });
      List<ListenableFuture<ModelInferResponse>> greedy = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        greedy.add(ask(gateway, Calls.of(i).putParameters("sluice-tenant", Calls.text("greedy")).build()));
        int expected = i;
        await().until(() -> waiting(gateway) == expected);
      }
      var quiet = ask(gateway, Calls.of(9).putParameters("sluice-tenant", Calls.text("quiet")).build());
      Refusal shed =
          Refusal.of(
              () -> {
                try {
                  var _ = greedy.getLast().get();
                } catch (ExecutionException e) {
                  if (e.getCause() instanceof StatusRuntimeException refused) {
                    throw refused;
                  }
                } catch (InterruptedException e) {
                  Thread.currentThread().interrupt();
                }
              });
      assertThat(shed.code()).isEqualTo(Status.Code.UNAVAILABLE);
      assertThat(shed.reason()).isEqualTo("SHED");
      runs.release(4);
      assertThat(Calls.y(quiet.get())).isEqualTo(19);
      for (int i = 0; i < 3; i++) {
        assertThat(Calls.y(greedy.get(i).get())).isEqualTo(2 * i + 1);
      }
    }
  }
}
