package dev.sluice.loadtest;

import dev.sluice.loadtest.LoadTestPlan.Load;
import dev.sluice.loadtest.client.Target;
import dev.sluice.loadtest.client.TargetException;
import dev.sluice.loadtest.report.LoadReport;
import dev.sluice.loadtest.report.TableReport;
import dev.sluice.loadtest.schedule.Arrivals;
import dev.sluice.loadtest.traffic.Callers;
import dev.sluice.loadtest.traffic.InvalidTrafficException;
import dev.sluice.loadtest.traffic.Keys;
import dev.sluice.loadtest.traffic.ModelTraffic;
import dev.sluice.loadtest.traffic.RequestForm;
import dev.sluice.loadtest.traffic.SegmentMix;
import java.io.Console;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/// `sluice loadtest`: puts load on a model of any Open Inference Protocol server and reports what callers would feel.
///
/// Exit codes: 0 measured, 1 no request was answered, 2 the command line or the payloads are wrong, 3 the model is not
/// there, 7 the target cannot be reached.
@Command(
    name = "loadtest",
    sortOptions = false,
    header = "Put load on a model of any Open Inference Protocol (v2, gRPC) server and report latencies.",
    description = {
      "",
      "An open loop (--rate) sends on schedule whatever the server does, as independent callers do, and measures from"
          + " the planned send time. A closed loop (--concurrency) waits for answers: it finds the highest throughput,"
          + " and hides stalls."
    },
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:measured",
      "1:no request was answered",
      "2:the command line or the payload file is wrong",
      "3:the model is not served there",
      "7:the target cannot be reached"
    })
public final class LoadTestCommand implements Callable<Integer> {
  private static final int EXIT_MEASURED = 0;
  private static final int EXIT_FAILED = 1;
  private static final int EXIT_USAGE = 2;
  private static final int EXIT_MODEL_NOT_FOUND = 3;
  private static final int EXIT_UNREACHABLE = 7;

  /// Back to the start of the line, and erase it.
  private static final String CLEAR_LINE = "\r\033[K";

  private static final int BATCH_MAX = 65_536;

  enum ArrivalKind { constant, poisson }

  enum OutputKind { table, json }

  @Spec
  @SuppressWarnings("NullAway.Init") // picocli sets it before the call.
  private CommandSpec spec;

  @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help.")
  @SuppressWarnings("UnusedVariable") // picocli reads it.
  private boolean help;

  @Option(names = "--target", paramLabel = "host:port", defaultValue = "localhost:8001",
      description = "The server, host:port or unix:/path/of/a/socket (default: ${DEFAULT-VALUE}).")
  private String target = "";

  @Option(names = {"-m", "--model"}, required = true, description = "The model's name.")
  private String model = "";

  @Option(names = "--model-version", paramLabel = "n", defaultValue = "",
      description = "Ask for one version; otherwise the server chooses.")
  private String version = "";

  @Option(names = "--rate", paramLabel = "per-second", description = "Open loop: requests per second.")
  private @Nullable Double rate;

  @Option(names = "--arrivals", defaultValue = "poisson",
      description = "Open loop: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private ArrivalKind arrivals = ArrivalKind.poisson;

  @Option(names = "--in-flight-max", paramLabel = "n", defaultValue = "10000",
      description = "Open loop: calls in flight at most; what is due beyond is not sent (default: ${DEFAULT-VALUE}).")
  private int inFlightMax;

  @Option(names = "--concurrency", paramLabel = "n", description = "Closed loop: calls in flight.")
  private @Nullable Integer concurrency;

  @Option(names = "--duration", paramLabel = "time", defaultValue = "30s", converter = TimeConverter.class,
      description = "How long to measure: 500ms, 30s, 5m (default: ${DEFAULT-VALUE}).")
  private Duration duration = Duration.ZERO;

  @Option(names = "--warmup", paramLabel = "time", defaultValue = "5s", converter = TimeConverter.class,
      description = "Sent first and left out of the figures (default: ${DEFAULT-VALUE}).")
  private Duration warmUp = Duration.ZERO;

  @Option(names = "--requests", paramLabel = "n", description = "Measure at most this many requests.")
  private long requestsMax = Long.MAX_VALUE;

  @Option(names = "--deadline", paramLabel = "time", defaultValue = "1s", converter = TimeConverter.class,
      description = "Deadline of each call (default: ${DEFAULT-VALUE}).")
  private Duration deadline = Duration.ZERO;

  @Option(names = "--connections", paramLabel = "n", defaultValue = "1",
      description = "HTTP/2 connections, each with a thread of its own (default: ${DEFAULT-VALUE}).")
  private int connections;

  @Option(names = "--batch", paramLabel = "n", description = "Size of a leading free dimension (default: 1).")
  private @Nullable Integer batch;

  @Option(names = "--shape", paramLabel = "INPUT:d1,d2",
      description = "The other free dimensions of an input: its shape, with or without the leading one. Repeatable.")
  private List<String> shapes = new ArrayList<>();

  @Option(names = "--payloads", paramLabel = "file.json",
      description = "Payloads to send in turn, {\"data\": [{\"INPUT\": [1, 2]}, ...]}; otherwise random ones are made.")
  private @Nullable Path payloads;

  @Option(names = "--seed", paramLabel = "n", defaultValue = "1",
      description = "Of payloads, arrivals, keys and segments (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(names = "--keys", paramLabel = "n", defaultValue = "0",
      description = "Distinct sticky keys, sent as metadata sluice-key (default: none).")
  private int keys;

  @Option(names = "--key-spread", defaultValue = "UNIFORM",
      description = "How busy the keys are: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private Keys.Spread keySpread = Keys.Spread.UNIFORM;

  @Option(names = "--metadata", paramLabel = "name=value", description = "gRPC metadata of every request. Repeatable.")
  private Map<String, String> metadata = new LinkedHashMap<>();

  @Option(names = "--segment", paramLabel = "name=v1:w1,v2:w2",
      description = "Draw a value by weight for metadata sluice-segment-<name>. Repeatable.")
  private List<String> segments = new ArrayList<>();

  @Option(names = {"-o", "--output"}, defaultValue = "table",
      description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private OutputKind output = OutputKind.table;

  @Override
  public Integer call() throws InterruptedException {
    try {
      checkOptions();
      return runAndReport(new LoadTest(plan(), progressPrinter()));
    } catch (UsageException | InvalidTrafficException e) {
      return fail(EXIT_USAGE, String.valueOf(e.getMessage()));
    } catch (TargetException e) {
      return fail(
          switch (e.reason()) {
            case UNREACHABLE -> EXIT_UNREACHABLE;
            case MODEL_NOT_FOUND -> EXIT_MODEL_NOT_FOUND;
            case REFUSED -> EXIT_FAILED;
          },
          String.valueOf(e.getMessage()));
    }
  }

  private void checkOptions() {
    if ((rate == null) == (concurrency == null)) {
      throw new UsageException("%s; expected exactly one: --rate for an open loop or --concurrency for a closed loop"
          .formatted(rate == null ? "neither --rate nor --concurrency" : "both --rate and --concurrency"));
    }
    if (rate != null && !(rate > 0 && rate <= Arrivals.PER_SECOND_MAX)) {
      throw new UsageException("--rate %s: expected more than 0 and at most %.0f"
          .formatted(rate, Arrivals.PER_SECOND_MAX));
    }
    if (concurrency != null) {
      requireWithin("--concurrency", concurrency, LoadTestPlan.IN_FLIGHT_MAX);
    }
    requireWithin("--in-flight-max", inFlightMax, LoadTestPlan.IN_FLIGHT_MAX);
    requireWithin("--connections", connections, LoadTestPlan.CONNECTIONS_MAX);
    requireWithin("--requests", requestsMax, Long.MAX_VALUE);
    requireWithin("--duration", duration, Duration.ofMillis(1));
    requireWithin("--warmup", warmUp, Duration.ZERO);
    requireWithin("--deadline", deadline, Duration.ofMillis(1));
    if (batch != null) {
      requireWithin("--batch", batch, BATCH_MAX);
      if (payloads != null) {
        throw new UsageException("--batch with --payloads: the payload file says how many rows a request has");
      }
    }
    checkTarget();
  }

  private void checkTarget() {
    if (target.startsWith(Target.UNIX) && target.length() > Target.UNIX.length()) {
      return;
    }
    Matcher address = Pattern.compile("(?:\\[[0-9a-fA-F:.%]+]|[^:/\\[\\]\\s]+):(\\d{1,5})").matcher(target);
    if (!address.matches() || Integer.parseInt(address.group(1)) < 1 || Integer.parseInt(address.group(1)) > 65_535) {
      throw new UsageException(
          "--target '%s': expected host:port, as in localhost:8001, or unix:/path/of/a/socket".formatted(target));
    }
  }

  private LoadTestPlan plan() {
    Load load = rate == null
        ? new Load.ClosedLoop(concurrency == null ? 1 : concurrency)
        : new Load.OpenLoop(
            switch (arrivals) {
              case constant -> new Arrivals.Constant(rate);
              case poisson -> new Arrivals.Poisson(rate, seed);
            },
            inFlightMax);
    // Everything that can be wrong here is found before the server is asked.
    var callers = new Callers(
        new Keys(keys, keySpread), segments.stream().map(SegmentMix::parse).toList(), metadata, seed);
    Map<String, List<Long>> shapesByInput = shapesByInput();
    RequestForm form = RequestForm.of(
        model, version, Target.metadata(target, model, version), batch == null ? 1 : batch, shapesByInput);
    List<byte[]> messages = payloads == null ? form.generate(seed) : form.read(payloads);
    return LoadTestPlan.of(target, "model '%s'%s"
        .formatted(model, version.isEmpty() ? "" : " version " + version), load,
            new ModelTraffic(messages, callers))
        .withConnections(connections)
        .withWarmUp(warmUp)
        .withDuration(duration)
        .withRequestsMax(requestsMax)
        .withDeadline(deadline);
  }

  private Map<String, List<Long>> shapesByInput() {
    var byInput = new LinkedHashMap<String, List<Long>>();
    for (String text : shapes) {
      int colon = text.lastIndexOf(':');
      String dimensions = text.substring(colon + 1);
      if (colon < 1 || !dimensions.matches("\\d{1,12}(,\\d{1,12})*")) {
        throw new UsageException("--shape '%s': expected INPUT:d1,d2 with dimensions of 0 or more".formatted(text));
      }
      byInput.put(text.substring(0, colon), Pattern.compile(",").splitAsStream(dimensions).map(Long::valueOf).toList());
    }
    return byInput;
  }

  private int runAndReport(LoadTest test) throws InterruptedException {
    var reported = new CompletableFuture<@Nullable Void>();
    // Ctrl-C ends the test early; what was measured is still reported before the process goes.
    Thread hook = Thread.ofPlatform().name("loadtest-interrupted").unstarted(() -> {
      test.stop();
      reported.completeOnTimeout(null, deadline.plusSeconds(5).toMillis(), TimeUnit.MILLISECONDS).join();
    });
    Runtime.getRuntime().addShutdownHook(hook);
    try {
      LoadReport report = test.run();
      clearProgress();
      PrintWriter out = spec.commandLine().getOut();
      out.println(output == OutputKind.json ? report.toJson() : TableReport.of(report, System.out.charset()));
      out.flush();
      return report.answered() > 0 ? EXIT_MEASURED : fail(EXIT_FAILED, noAnswer(report));
    } finally {
      reported.complete(null);
      forget(hook);
    }
  }

  private static void forget(Thread hook) {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // The process is already ending, and the hook is what waits for us.
    }
  }

  private ProgressListener progressPrinter() {
    PrintWriter err = spec.commandLine().getErr();
    boolean terminal = onTerminal();
    return progress -> {
      if (!terminal && progress.elapsed().toSeconds() % 5 != 0) {
        return;
      }
      String line = progress.warmingUp()
          ? String.format(Locale.ROOT, "%4d s  warming up", progress.elapsed().toSeconds())
          : String.format(Locale.ROOT, "%4d s  %.0f/s, p99 %.0f µs, answered %d, failed %d, not sent %d, in flight %d",
              progress.elapsed().toSeconds(), progress.endedPerSecond(), progress.latencyP99Micros(),
              progress.answered(), progress.failed(), progress.notSent(), progress.inFlight());
      // A terminal shows one line that changes.
      err.print(terminal ? CLEAR_LINE + line : line + System.lineSeparator());
      err.flush();
    };
  }

  private void clearProgress() {
    if (onTerminal()) {
      spec.commandLine().getErr().print(CLEAR_LINE);
      spec.commandLine().getErr().flush();
    }
  }

  @SuppressWarnings("SystemConsoleNull") // Java 25's own console is null again when there is no terminal.
  private static boolean onTerminal() {
    Console console = System.console();
    return console != null && console.isTerminal();
  }

  private static String noAnswer(LoadReport report) {
    return report.errors().isEmpty()
        ? "no request was sent in the measured time"
        : "no request was answered; the first failure was %s: %s"
            .formatted(report.errors().getFirst().code(), report.errors().getFirst().example());
  }

  private int fail(int exitCode, String message) {
    PrintWriter err = spec.commandLine().getErr();
    err.println("loadtest: " + message);
    err.flush();
    return exitCode;
  }

  private static void requireWithin(String option, long value, long max) {
    if (value < 1 || value > max) {
      throw new UsageException("%s %d: expected 1 to %d".formatted(option, value, max));
    }
  }

  private static void requireWithin(String option, Duration value, Duration min) {
    if (value.compareTo(min) < 0 || value.compareTo(LoadTestPlan.DURATION_MAX) > 0) {
      throw new UsageException("%s %d ms: expected %d ms to %d days"
          .formatted(option, value.toMillis(), min.toMillis(), LoadTestPlan.DURATION_MAX.toDays()));
    }
  }

  private static final class UsageException extends RuntimeException {
    UsageException(String message) {
      super(message);
    }
  }

  /// Reads `500ms`, `30s`, `5m` and `1h`.
  static final class TimeConverter implements ITypeConverter<Duration> {
    private static final Pattern TIME = Pattern.compile("(\\d{1,9})(ms|s|m|h)");

    @Override
    public Duration convert(String text) {
      Matcher time = TIME.matcher(text);
      if (!time.matches()) {
        throw new TypeConversionException("'%s' is not a time: expected a number and ms, s, m or h, as in 30s"
            .formatted(text));
      }
      long amount = Long.parseLong(time.group(1));
      return switch (time.group(2)) {
        case "ms" -> Duration.ofMillis(amount);
        case "s" -> Duration.ofSeconds(amount);
        case "m" -> Duration.ofMinutes(amount);
        default -> Duration.ofHours(amount);
      };
    }
  }
}
