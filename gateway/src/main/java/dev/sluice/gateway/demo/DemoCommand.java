package dev.sluice.gateway.demo;

import ch.qos.logback.classic.Level;
import dev.sluice.examples.fraud.PaymentStream;
import dev.sluice.gateway.Gateway;
import dev.sluice.gateway.StartFailure;
import dev.sluice.gateway.cli.picture.LivePicture;
import dev.sluice.gateway.cli.picture.Terminal;
import dev.sluice.gateway.config.GatewayConfig;
import dev.sluice.loadtest.LoadTest;
import dev.sluice.loadtest.LoadTestPlan;
import dev.sluice.loadtest.LoadTestPlan.Load;
import dev.sluice.loadtest.schedule.Arrivals;
import dev.sluice.proto.control.v1.CreateRolloutRequest;
import dev.sluice.proto.control.v1.GetRolloutRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutServiceGrpc;
import dev.sluice.proto.control.v1.RolloutServiceGrpc.RolloutServiceBlockingStub;
import dev.sluice.proto.control.v1.RolloutState;
import dev.sluice.proto.control.v1.Stop;
import dev.sluice.proto.control.v1.WatchRolloutRequest;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.io.IOException;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.Iterator;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/// `sluice demo`: releases a good version of a fraud model and then a bad one, under a stream of payments.
@Command(
    name = "demo",
    description = "Release a good model and a bad one under live traffic, and watch what happens (a minute or two).",
    sortOptions = false)
public final class DemoCommand implements Callable<Integer> {

  private static final Duration DEADLINE = Duration.ofSeconds(1);

  /// A release that takes longer than this has got stuck, which the demo must say and not wait out.
  private static final Duration RELEASE_MAX = Duration.ofSeconds(90);

  /// Traffic goes on this long after the flip, so that a request for the stopped candidate would be seen.
  private static final long AFTERMATH_MILLIS = 3_000;

  @Spec
  @SuppressWarnings("NullAway.Init") // set by picocli
  private CommandSpec spec;

  @Option(names = "--rate", defaultValue = "400", description = "Payments per second (default: ${DEFAULT-VALUE}).")
  private double rate;

  @Option(names = "--seed", defaultValue = "42", description = "Of the payments (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(names = "--keep", description = "Leave the gateway and the payments running afterwards, to play with.")
  private boolean keep;

  @Override
  public Integer call() throws IOException, InterruptedException {
    PrintWriter out = spec.commandLine().getOut();
    quiet();
    try (DemoFiles files = new DemoFiles()) {
      files.deliver(1);
      try (Gateway gateway = Gateway.start(GatewayConfig.onFreePorts(files.models(), files.data()))) {
        return run(gateway, files, out);
      }
    } catch (StartFailure e) {
      spec.commandLine().getErr().println("sluice: " + e.getMessage());
      return 1;
    }
  }

  /// The picture tells what the log would, and log lines would tear it.
  private static void quiet() {
    ((ch.qos.logback.classic.Logger) LoggerFactory.getLogger(Logger.ROOT_LOGGER_NAME)).setLevel(Level.ERROR);
  }

  private int run(Gateway gateway, DemoFiles files, PrintWriter out) throws IOException, InterruptedException {
    ManagedChannel channel =
        Grpc.newChannelBuilder("127.0.0.1:" + gateway.controlPort(), InsecureChannelCredentials.create()).build();
    CallerView callers = new CallerView();
    LoadTest payments = payments(gateway, callers);
    Thread sender = Thread.ofPlatform().name("sluice-demo-payments").daemon().start(() -> send(payments));
    try {
      RolloutServiceBlockingStub control = RolloutServiceGrpc.newBlockingStub(channel);
      say(out, "Payments flow at %.0f a second; fraud version 1 scores them.".formatted(rate));
      say(out, "");
      say(out, "Version 2 is delivered and released: shadow, then 10 %, then 50 %, then everybody.");
      files.deliver(2);
      Rollout good = release(control, "fraud-v2.yaml", out, callers);
      good = afterCoolDown(control, good);

      say(out, "");
      say(out, "Version 3 is delivered. Its training read amounts in minor units as if every currency had cents.");
      files.deliver(3);
      say(out, "Its note begins with a shadow step: it sees copies of all payments, and answers nobody.");
      Stopped inShadow = stopped(control, "fraud-v3.yaml", out, callers);

      say(out, "");
      say(out, "Its owner is in a hurry and tries again, without the shadow step: 10 % at once.");
      Stopped inCanary = stopped(control, "fraud-v3-hurry.yaml", out, callers);
      if (!keep) {
        payments.stop();
        sender.join();
      }
      boolean asExpected = summary(good, inShadow, inCanary, callers, out);
      if (keep) {
        play(gateway, out);
      }
      return asExpected ? 0 : 1;
    } finally {
      payments.stop();
      channel.shutdownNow();
    }
  }

  private LoadTest payments(Gateway gateway, CallerView callers) {
    LoadTestPlan plan =
        LoadTestPlan.of(
                "127.0.0.1:" + gateway.grpcPort(),
                "fraud",
                new Load.OpenLoop(new Arrivals.Poisson(rate, seed), 4096),
                new PaymentTraffic(new PaymentStream(seed)))
            .withWarmUp(Duration.ZERO)
            .withDuration(keep ? LoadTestPlan.DURATION_MAX : RELEASE_MAX.multipliedBy(3))
            .withDeadline(DEADLINE)
            .withObserver(callers);
    return new LoadTest(plan, progress -> {});
  }

  private static void send(LoadTest payments) {
    try {
      payments.run();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /// A release of the bad version.
  ///
  /// @param answered requests that it answered meanwhile
  /// @param answeredAfter those of them that were sent after its stop was known
  private record Stopped(Rollout rollout, long answered, long answeredAfter) {}

  private Stopped stopped(RolloutServiceBlockingStub control, String note, PrintWriter out, CallerView callers)
      throws IOException, InterruptedException {
    long answeredBefore = callers.answeredByBad();
    long afterStopBefore = callers.answeredByBadAfterStop();
    callers.releaseBegins();
    Rollout rollout = release(control, note, out, callers);
    TimeUnit.MILLISECONDS.sleep(AFTERMATH_MILLIS);
    rollout = control.getRollout(GetRolloutRequest.newBuilder().setName(rollout.getName()).build());
    return new Stopped(
        rollout, callers.answeredByBad() - answeredBefore, callers.answeredByBadAfterStop() - afterStopBefore);
  }

  /// Creates a rollout from its note and shows it until it has ended.
  private Rollout release(RolloutServiceBlockingStub control, String note, PrintWriter out, CallerView callers)
      throws IOException {
    Rollout rollout = control.createRollout(CreateRolloutRequest.newBuilder().setNote(DemoFiles.note(note)).setActor("the demo").build());
    LivePicture picture = new LivePicture(out, Terminal.detect());
    Iterator<Rollout> states =
        control
            .withDeadlineAfter(RELEASE_MAX)
            .watchRollout(WatchRolloutRequest.newBuilder().setName(rollout.getName()).build());
    while (states.hasNext()) {
      rollout = states.next();
      picture.show(rollout);
      if (rollout.getState() == RolloutState.STOPPED) {
        callers.stopSeen();
      }
      if (rollout.getState() == RolloutState.PROMOTED) {
        break; // the cool-down is not worth watching
      }
    }
    return rollout;
  }

  private static Rollout afterCoolDown(RolloutServiceBlockingStub control, Rollout promoted)
      throws InterruptedException {
    Rollout rollout = promoted;
    while (rollout.getState() == RolloutState.PROMOTED && !rollout.getCooledDown()) {
      TimeUnit.MILLISECONDS.sleep(200);
      rollout = control.getRollout(GetRolloutRequest.newBuilder().setName(rollout.getName()).build());
    }
    return rollout;
  }

  /// Every figure is counted; the demo fails if one is not what it promises.
  private static boolean summary(
      Rollout good, Stopped inShadow, Stopped inCanary, CallerView callers, PrintWriter out) {
    boolean promoted = good.getState() == RolloutState.PROMOTED;
    say(out, "");
    say(out, "Summary");
    say(out, "  version 2                                        " + (promoted ? "promoted" : good.getState().name()));
    boolean stoppedInShadow = summary("version 3, as a shadow first", inShadow, out);
    boolean stoppedInCanary = summary("version 3, in a hurry", inCanary, out);
    say(out, "  requests served                                  %,d".formatted(callers.answered()));
    say(out, "  errors seen by callers                           %,d".formatted(callers.errors()));
    say(out, "  answered by the baseline in a candidate's place  %,d".formatted(callers.fallbacks()));
    if (callers.errors() > 0) {
      say(out, "  the first error: " + callers.firstError());
    }
    return promoted && stoppedInShadow && stoppedInCanary && callers.errors() == 0 && inShadow.answered() == 0;
  }

  private static boolean summary(String what, Stopped bad, PrintWriter out) {
    Stop stop = bad.rollout().getStop();
    boolean stopped = bad.rollout().getState() == RolloutState.STOPPED;
    long after = stop.getAssignedAfterFlip() + bad.answeredAfter();
    say(
        out,
        "  %-47s  ".formatted(what)
            + (stopped ? "stopped by " + stop.getRule() + where(stop) : bad.rollout().getState().name()));
    say(out, "    requests that it answered                      %,d".formatted(bad.answered()));
    say(out, "    from the tripping observation to the flip      " + micros(stop.getFlipNanos()));
    say(out, "    requests assigned to it after that             %,d".formatted(after));
    return stopped && after == 0;
  }

  private static String where(Stop stop) {
    return " in " + (stop.getSegment().isEmpty() ? "all traffic" : stop.getSegment());
  }

  private static String micros(long nanos) {
    return String.format(Locale.ROOT, "%.1f µs", nanos / 1e3);
  }

  private static void play(Gateway gateway, PrintWriter out) throws InterruptedException {
    say(out, "");
    say(out, "Still running, payments too. Ctrl-C ends it.");
    say(out, "  ./sluice rollout list    --server 127.0.0.1:" + gateway.controlPort());
    say(out, "  ./sluice rollout explain --server 127.0.0.1:" + gateway.controlPort() + " fraud-v3");
    say(out, "  ./sluice rollout replay  --server 127.0.0.1:" + gateway.controlPort() + " fraud-v3");
    say(out, "  ./sluice rollout report  --server 127.0.0.1:" + gateway.controlPort() + " fraud-v3 -f fraud-v3.html");
    say(out, "  ./sluice models list     --server 127.0.0.1:" + gateway.controlPort());
    say(out, "  curl http://127.0.0.1:" + gateway.metricsPort() + "/metrics");
    new CountDownLatch(1).await();
  }

  private static void say(PrintWriter out, String line) {
    out.println(line);
    out.flush();
  }
}
