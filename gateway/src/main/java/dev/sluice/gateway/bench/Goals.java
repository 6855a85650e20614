package dev.sluice.gateway.bench;

import dev.sluice.loadtest.client.TargetException;
import dev.sluice.loadtest.paired.GoalRow;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/// The rows of the goal table, in its order. Sluice has everything on in all of them: an active canary with a shadow,
/// segments, stop rules and metrics, unless a row says otherwise.
enum Goals {
  TINY(
      "tiny", "server CPU per request, tiny model, 8 to 64 in flight", "≤ 1.15 x (raw gRPC echo + raw ONNX Runtime)"),
  ROLLOUT(
      "rollout", "active rollout against none", "≤ 1.05 x CPU, 0 B/op added in the router"),
  ROUTING("routing", "routing, assignment, recording and all stop rules per request", "≤ 500 ns"),
  ALONE("alone", "p50 at 1 in flight", "≤ 1.2 x (raw echo + raw ONNX Runtime)"),
  LARGE(
      "large", "150 kB input, cheap model", "≤ 1.4 x CPU and ≤ 2 x garbage of a raw gRPC sink"),
  SLOW(
      "slow", "slow model (5 ms), saturated", "≥ 0.95 x raw ONNX Runtime on as many threads"),
  MEDIUM(
      "medium", "medium model, 64 in flight, batching on", "≥ 0.9 x raw ONNX Runtime at the batch sizes reached"),
  BESIDE("beside", "tiny model beside a saturated slow one", "p99 ≤ 2 x alone"),
  SHADOW(
      "shadow", "shadow at 100 %, machine at 30 %", "live p50 ≤ 1.05 x, p99 ≤ 1.15 x"),
  OVERLOAD(
      "overload", "offered 5 x capacity, open loop, 60 s",
      "goodput ≥ 0.9 x peak; p99 of answered calls within their deadline; memory flat; recovery within 1 s"),
  FRESH("fresh", "first 10 s after readiness", "≥ 0.8 x steady throughput"),
  START("start", "start to first answer, small repository", "≤ 1.5 s"),
  MANY(
      "many", "1 000 models, 200 active rollouts, 10 segments each", "routing cost unchanged (≤ 1.1 x), ≤ 100 MB added"),
  GENERATOR(
      "generator", "the load generator",
      "≤ 10 µs CPU per request, ≥ 40 k requests/s from one core, agrees with h2load within 5 % on the same server");

  private final String id;
  private final String goal;
  private final String bound;

  Goals(String id, String goal, String bound) {
    this.id = id;
    this.goal = goal;
    this.bound = bound;
  }

  /// What the row is called on the command line.
  String id() {
    return id;
  }

  String goal() {
    return goal;
  }

  String bound() {
    return bound;
  }

  /// Measures the row; what is in the way takes the figure's place.
  GoalRow row(Bench bench) throws InterruptedException {
    try {
      return measure(bench).of(this);
    } catch (BenchFailure | TargetException | StatusRuntimeException | IOException e) {
      return GoalRow.notMeasured(id, goal, bound, String.valueOf(e.getMessage()));
    }
  }

  private Row measure(Bench bench) throws IOException, InterruptedException {
    return switch (this) {
      case TINY -> RequestRows.tiny(bench);
      case ROLLOUT -> RequestRows.rollout(bench);
      case ROUTING -> RoutingRows.one(bench);
      case ALONE -> RequestRows.alone(bench);
      case LARGE -> RequestRows.large(bench);
      case SLOW -> ModelRows.slow(bench);
      case MEDIUM -> ModelRows.medium(bench);
      case BESIDE -> ModelRows.beside(bench);
      case SHADOW -> ModelRows.shadow(bench);
      case OVERLOAD -> OverloadRow.measure(bench);
      case FRESH -> StartRows.fresh(bench);
      case START -> StartRows.start(bench);
      case MANY -> RoutingRows.many(bench);
      case GENERATOR -> GeneratorRow.measure(bench);
    };
  }

  static Optional<Goals> of(String id) {
    return Arrays.stream(values()).filter(goal -> goal.id.equals(id)).findFirst();
  }

  static List<String> ids() {
    return Arrays.stream(values()).map(Goals::id).toList();
  }
}
