package dev.sluice.gateway.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.sluice.gateway.testing.Refusal;
import dev.sluice.proto.control.v1.RolloutServiceGrpc;
import dev.sluice.proto.control.v1.RolloutServiceGrpc.RolloutServiceBlockingStub;
import dev.sluice.proto.control.v1.WatchRolloutRequest;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.Status.Code;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import org.junit.jupiter.api.Test;

class WatchTest {

  @Test
  void aWatchThatIsOverLeavesNothingBehind() throws Exception {
    ScheduledThreadPoolExecutor timer = new ScheduledThreadPoolExecutor(1);
    Server server =
        Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
            .addService(new RolloutService(null, "no store", timer))
            .build()
            .start();
    ManagedChannel channel =
        Grpc.newChannelBuilder("127.0.0.1:" + server.getPort(), InsecureChannelCredentials.create()).build();
    try {
      RolloutServiceBlockingStub rollouts = RolloutServiceGrpc.newBlockingStub(channel);
      for (int i = 0; i < 500; i++) {
        Refusal refusal = Refusal.of(() -> rollouts.watchRollout(WatchRolloutRequest.getDefaultInstance()).next());
        assertThat(refusal.code()).isEqualTo(Code.UNAVAILABLE);
        assertThat(refusal.message()).isEqualTo("no store");
      }

      await().untilAsserted(() -> assertThat(timer.getQueue()).isEmpty());
    } finally {
      channel.shutdownNow();
      server.shutdownNow().awaitTermination();
      timer.shutdownNow();
    }
  }
}
