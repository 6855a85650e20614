package dev.sluice.gateway.cli;

import dev.sluice.gateway.cli.picture.Figures;
import dev.sluice.gateway.simulation.Forecast.Boundary;
import dev.sluice.gateway.simulation.Forecast.Detected;
import dev.sluice.gateway.simulation.Forecast.Group;
import dev.sluice.gateway.simulation.Forecast.Report;
import dev.sluice.gateway.simulation.Forecast.Rule;
import dev.sluice.gateway.simulation.Forecast.StepTime;
import dev.sluice.gateway.simulation.Simulation.Spread;
import java.io.PrintWriter;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// What a note will do, as people read it.
final class ForecastText {
  private ForecastText() {}

  static void print(Report report, PrintWriter out) {
    out.printf(
        "%s: a healthy candidate is stopped with probability at most %s in this attempt:%n", report.rollout(),
        number(report.alpha()));
    for (Group group : report.groups()) {
      out.printf("  %s %s%n", number(group.alpha()), group.name());
    }
    steps(report, out);
    boundaries(report, out);
    out.println();
    out.println("What each rule detects by itself (half of such candidates, and 19 of 20):");
    for (Rule rule : report.rules()) {
      out.printf(
          "%n%s in %s: %ss at evidence %s (alpha %s), counted in %s%n", rule.rule(), rule.place(), rule.action(),
          number(rule.threshold()), number(rule.alpha()), rule.unit());
      Table table = new Table("", "OBSERVATIONS", "P95", "BY CANDIDATE", "P95", "TIME", "P95", "IN THE PLAN");
      for (Detected detected : rule.detects()) {
        boolean timed = report.planMillis() != null || !report.steps().isEmpty();
        table.row(
            detected.effect(), count(detected.observations(), true), count(detected.observations(), false),
            count(detected.candidateRequests(), true), count(detected.candidateRequests(), false),
            time(detected.millis(), true), time(detected.millis(), false),
            !timed || detected.millis() == null ? "" : detected.inPlan() ? "yes" : "no");
      }
      table.print(out);
    }
    list("Certain, without statistics:", report.certain(), out);
    list("What the plan leaves no time to see:", report.cannotSee(), out);
    list("Worth a second look:", report.remarks(), out);
    out.flush();
  }

  private static void steps(Report report, PrintWriter out) {
    if (report.steps().isEmpty()) {
      out.println();
      out.println("Say --traffic to learn how long the steps and the rules will take.");
      return;
    }
    out.println();
    Table table = new Table("STEP", "CANARY", "SHADOW", "TIME", "BECAUSE OF");
    for (StepTime step : report.steps()) {
      Long millis = step.millis();
      table.row(
          step.step(), Figures.percent(step.weightBasisPoints()), Figures.percent(step.shadowBasisPoints()),
          millis == null ? "for ever" : SimulationText.time(millis), step.because());
    }
    table.print(out);
  }

  /// Tables that are the same in several places are printed once.
  private static void boundaries(Report report, PrintWriter out) {
    List<Rule> limits = report.rules().stream().filter(rule -> !rule.boundaries().isEmpty()).toList();
    if (limits.isEmpty()) {
      return;
    }
    out.println();
    out.println("So many bad ones stop the rollout when they are among so many or fewer:");
    Object[] bad = limits.getFirst().boundaries().stream().map(boundary -> Long.toString(boundary.bad())).toArray();
    String[] header = new String[bad.length + 2];
    header[0] = "RULE";
    header[1] = "IN";
    for (int i = 0; i < bad.length; i++) {
      header[i + 2] = bad[i] + " BAD";
    }
    Table table = new Table(header);
    for (Rule rule : limits) {
      Object[] row = new Object[header.length];
      row[0] = rule.rule();
      row[1] = rule.place();
      for (int i = 0; i < rule.boundaries().size(); i++) {
        Boundary boundary = rule.boundaries().get(i);
        row[i + 2] = boundary.events() == 0 ? "" : Figures.count(boundary.events());
      }
      table.row(row);
    }
    table.print(out);
  }

  private static void list(String title, List<String> lines, PrintWriter out) {
    if (!lines.isEmpty()) {
      out.println();
      out.println(title);
      lines.forEach(line -> out.println("  " + line));
    }
  }

  private static String number(double value) {
    return Figures.number(value);
  }

  private static String count(@Nullable Spread spread, boolean median) {
    long value = spread == null ? Long.MAX_VALUE : median ? spread.median() : spread.p95();
    return value == Long.MAX_VALUE ? "too many" : Figures.count(value);
  }

  private static String time(@Nullable Spread spread, boolean median) {
    return spread == null ? "" : SimulationText.time(median ? spread.median() : spread.p95());
  }
}
