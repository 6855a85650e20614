package dev.sluice.gateway.testing;

import dev.sluice.gateway.Gateway;
import dev.sluice.gateway.StartFailure;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.proto.control.v1.CreateRolloutRequest;
import dev.sluice.proto.control.v1.GetRolloutRequest;
import dev.sluice.proto.control.v1.ModelServiceGrpc;
import dev.sluice.proto.control.v1.ModelServiceGrpc.ModelServiceBlockingStub;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutServiceGrpc;
import dev.sluice.proto.control.v1.RolloutServiceGrpc.RolloutServiceBlockingStub;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.onnx.OnnxRuntime;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.nio.file.Path;
import java.time.Clock;

/// A gateway in this process, on free ports of loopback, with real clients to it.
public final class RunningGateway implements AutoCloseable {

  private static final int MESSAGE_BYTES_MAX = 256 << 20;

  private final Gateway gateway;
  private final ManagedChannel inferenceChannel;
  private final ManagedChannel controlChannel;
  private final Rest rest;

  private RunningGateway(Gateway gateway) {
    this.gateway = gateway;
    this.inferenceChannel = channel(gateway.grpcPort());
    this.controlChannel = channel(gateway.controlPort());
    this.rest = new Rest(gateway.httpPort());
  }

  /// Serves ONNX models; what `data` holds from an earlier gateway is taken up.
  public static RunningGateway start(Path models, Path data) throws StartFailure {
    return start(models, data, new OnnxRuntime());
  }

  public static RunningGateway start(Path models, Path data, ModelRuntime runtime) throws StartFailure {
    return new RunningGateway(
        Gateway.start(GatewayConfig.onFreePorts(models, data), runtime, Clock.systemUTC()));
  }

  /// With settings of its own, on loopback.
  public static RunningGateway start(GatewayConfig config) throws StartFailure {
    return new RunningGateway(Gateway.start(config));
  }

  private static ManagedChannel channel(int port) {
    return Grpc.newChannelBuilder("127.0.0.1:" + port, InsecureChannelCredentials.create())
        .maxInboundMessageSize(MESSAGE_BYTES_MAX)
        .build();
  }

  public Gateway gateway() {
    return gateway;
  }

  /// A value of the metrics page, by name and labels as they stand there; 0 as long as it does not exist.
  public double metric(String name) {
    return gateway
        .metrics()
        .scrape()
        .lines()
        .filter(line -> line.startsWith(name + " "))
        .mapToDouble(line -> Double.parseDouble(line.substring(name.length() + 1)))
        .findFirst()
        .orElse(0);
  }

  public ManagedChannel inferenceChannel() {
    return inferenceChannel;
  }

  public ManagedChannel controlChannel() {
    return controlChannel;
  }

  /// The HTTP face.
  public Rest rest() {
    return rest;
  }

  public GRPCInferenceServiceBlockingStub inference() {
    return GRPCInferenceServiceGrpc.newBlockingStub(inferenceChannel);
  }

  public RolloutServiceBlockingStub rollouts() {
    return RolloutServiceGrpc.newBlockingStub(controlChannel);
  }

  public ModelServiceBlockingStub models() {
    return ModelServiceGrpc.newBlockingStub(controlChannel);
  }

  public Rollout create(String note) {
    return rollouts().createRollout(CreateRolloutRequest.newBuilder().setNote(note).setActor("test").build());
  }

  public Rollout rollout(String name) {
    return rollouts().getRollout(GetRolloutRequest.newBuilder().setName(name).build());
  }

  @Override
  public void close() {
    inferenceChannel.shutdownNow();
    controlChannel.shutdownNow();
    rest.close();
    gateway.close();
  }
}
