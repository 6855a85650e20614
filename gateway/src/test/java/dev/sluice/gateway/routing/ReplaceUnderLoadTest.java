package dev.sluice.gateway.routing;

import static dev.sluice.runtime.testing.OnnxGraph.elementType;
import static dev.sluice.runtime.testing.OnnxGraph.number;
import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.sluice.gateway.testing.Calls;
import dev.sluice.gateway.testing.RunningGateway;
import dev.sluice.gateway.testing.Traffic;
import dev.sluice.proto.control.v1.LoadVersionRequest;
import dev.sluice.proto.control.v1.UnloadVersionRequest;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.OnnxGraph;
import dev.sluice.runtime.testing.OnnxModels;
import dev.sluice.runtime.testing.Tensors;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/// Versions come and go under load; requests and memory do not notice.
class ReplaceUnderLoadTest {

  private static final int ROUNDS = 80;
  private static final int FIRST_ROUNDS = 20;

  /// 8 MiB each: one session in five that is not freed shows.
  private static final int WEIGHTS = 2 << 20;

  private static final long MARGIN_KIB = 256 << 10;

  @TempDir Path models;
  @TempDir Path data;

  @Test
  @EnabledOnOs(OS.LINUX)
  void replacingAVersionDropsNoRequestAndLeavesNothingBehind() throws Exception {
    heavy().writeTo(models, Calls.MODEL, 1);
    heavy().writeTo(models, Calls.MODEL, 2);
    Files.writeString(models.resolve("m/config.pbtxt"), "version_policy: { all {} }\n");
    try (RunningGateway gateway = RunningGateway.start(models, data);
        Traffic traffic = traffic(gateway)) {
      List<ModelVersion> replaced = new ArrayList<>();
      List<Long> residentKib = new ArrayList<>();
      for (int round = 0; round < ROUNDS; round++) {
        replaced.add(loaded(gateway, 2));
        load(gateway, 2);
        replaced.add(loaded(gateway, 1));
        unload(gateway, 1);
        load(gateway, 1);
        traffic.awaitAnswers(20);
        residentKib.add(residentKib());
      }
      for (ModelVersion version : replaced) {
        version.closed().get(10, TimeUnit.SECONDS);
      }
      assertThat(traffic.failures()).isEmpty();
      long first = residentKib.subList(0, FIRST_ROUNDS).stream().mapToLong(Long::longValue).max().orElseThrow();
      long last = residentKib.subList(ROUNDS - 10, ROUNDS).stream().mapToLong(Long::longValue).min().orElseThrow();
      System.out.printf(
          "FIGURE %d sessions replaced under %d calls; resident %d MiB in the first rounds, %d MiB in the last%n",
          replaced.size(), traffic.answered(), first >> 10, last >> 10);
      assertThat(last).as("resident memory, KiB: %s", residentKib).isLessThan(first + MARGIN_KIB);
    }
  }

  @Test
  void movingOnToANewerVersionDropsNoRequest() throws Exception {
    OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, 1);
    try (RunningGateway gateway = RunningGateway.start(models, data);
        Traffic traffic = traffic(gateway)) {
      for (int version = 2; version <= ROUNDS / 2; version++) {
        OnnxModels.linear(2, 1, 1).writeTo(models, Calls.MODEL, version);
        ModelVersion before = loaded(gateway, version - 1);
        load(gateway, version);
        unload(gateway, version - 1);
        before.closed().get(10, TimeUnit.SECONDS);
        traffic.awaitAnswers(20);
      }
      assertThat(traffic.failures()).isEmpty();
    }
  }

  private static Traffic traffic(RunningGateway gateway) {
    return Traffic.start(gateway, 6, null, n -> Calls.of((int) (n % 9)).build(), r -> 2 * Calls.x(r) + 1);
  }

  private static ModelVersion loaded(RunningGateway gateway, long version) {
    return requireNonNull(requireNonNull(gateway.gateway().repository().find(Calls.MODEL)).version(version));
  }

  private static void load(RunningGateway gateway, long version) {
    var _ =
        gateway
            .models()
            .loadVersion(LoadVersionRequest.newBuilder().setModel(Calls.MODEL).setVersion(version).build());
  }

  private static void unload(RunningGateway gateway, long version) {
    var _ =
        gateway
            .models()
            .unloadVersion(UnloadVersionRequest.newBuilder().setModel(Calls.MODEL).setVersion(version).build());
  }

  /// Without the Java heap, which grows and shrinks with whatever else this process has tested.
  private static long residentKib() throws Exception {
    long heapKib = ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getCommitted() >> 10;
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS:")) {
        return Long.parseLong(line.replaceAll("\\D", "")) - heapKib;
      }
    }
    throw new AssertionError("no VmRSS in /proc/self/status");
  }

  /// `y = 2 * x + 1`, with a table of zeros that is looked into at run time, so that nothing can fold it away.
  private static OnnxGraph heavy() {
    return new OnnxGraph()
        .constant(Tensors.floats("a", Shape.of(), 2))
        .constant(Tensors.floats("b", Shape.of(), 1))
        .constant(Tensors.floats("nothing", Shape.of(), 0))
        .constant(Tensors.floats("table", Shape.of(WEIGHTS), new float[WEIGHTS]))
        .input("x", Datatype.FP32, -1, 1)
        .node("Mul", List.of("x", "nothing"), List.of("none"))
        .node("Cast", List.of("none"), List.of("first"), number("to", elementType(Datatype.INT64)))
        .node("Gather", List.of("table", "first"), List.of("zero"))
        .node("Mul", List.of("x", "a"), List.of("scaled"))
        .node("Add", List.of("scaled", "b"), List.of("shifted"))
        .node("Add", List.of("shifted", "zero"), List.of("y"))
        .output("y", Datatype.FP32, -1, 1);
  }
}
