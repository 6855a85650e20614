package dev.sluice.gateway.testing;

import dev.sluice.gateway.Gateway;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.proto.control.v1.RolloutServiceGrpc;
import dev.sluice.proto.control.v1.RolloutServiceGrpc.RolloutServiceBlockingStub;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc;
import dev.sluice.proto.inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// A gateway in a process of its own, to be killed.
public final class GatewayProcess implements AutoCloseable {

  private final Process process;
  private final ManagedChannel inferenceChannel;
  private final ManagedChannel controlChannel;

  private GatewayProcess(Process process, int grpcPort, int controlPort) {
    this.process = process;
    this.inferenceChannel = channel(grpcPort);
    this.controlChannel = channel(controlPort);
  }

  /// Returns when the gateway answers.
  public static GatewayProcess start(Path models, Path data) throws IOException {
    // In a file, because ONNX Runtime ends a JVM whose command line is longer than 3.9 kB.
    Path arguments = Files.createTempFile(data, "jvm", ".args");
    Files.writeString(
        arguments,
        """
        -cp "%s"
        --enable-native-access=ALL-UNNAMED
        --sun-misc-unsafe-memory-access=allow
        -XX:TieredStopAtLevel=1
        -XX:+UseSerialGC
        """
            .formatted(System.getProperty("java.class.path")));
    Process process =
        new ProcessBuilder(
                ProcessHandle.current().info().command().orElseThrow(), "@" + arguments,
                GatewayProcess.class.getName(), models.toString(), data.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    while (true) {
      String line = process.inputReader().readLine();
      if (line == null) {
        throw new IOException("the gateway's process ended before it answered");
      }
      String[] words = line.split(" ", -1);
      if (words.length == 3 && words[0].equals("ready")) {
        return new GatewayProcess(process, Integer.parseInt(words[1]), Integer.parseInt(words[2]));
      }
    }
  }

  private static ManagedChannel channel(int port) {
    return Grpc.newChannelBuilder("127.0.0.1:" + port, InsecureChannelCredentials.create()).build();
  }

  public GRPCInferenceServiceBlockingStub inference() {
    return GRPCInferenceServiceGrpc.newBlockingStub(inferenceChannel);
  }

  public RolloutServiceBlockingStub rollouts() {
    return RolloutServiceGrpc.newBlockingStub(controlChannel);
  }

  /// SIGKILL: nothing of the process runs any more.
  public void kill() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }

  @Override
  public void close() {
    process.destroyForcibly();
    inferenceChannel.shutdownNow();
    controlChannel.shutdownNow();
  }

  /// The process itself. It ends when its parent does.
  public static void main(String[] args) throws Exception {
    Gateway gateway = Gateway.start(GatewayConfig.onFreePorts(Path.of(args[0]), Path.of(args[1])));
    System.out.println("ready " + gateway.grpcPort() + " " + gateway.controlPort());
    System.out.flush();
    while (System.in.read() >= 0) {
      // nobody says anything
    }
    Runtime.getRuntime().halt(0);
  }
}
