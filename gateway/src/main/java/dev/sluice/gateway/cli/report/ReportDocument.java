package dev.sluice.gateway.cli.report;

import com.google.protobuf.Timestamp;
import com.google.protobuf.util.Timestamps;
import dev.sluice.gateway.cli.picture.Figures;
import dev.sluice.gateway.cli.picture.RolloutPicture;
import dev.sluice.proto.control.v1.Distribution;
import dev.sluice.proto.control.v1.Event;
import dev.sluice.proto.control.v1.Exposed;
import dev.sluice.proto.control.v1.Replay;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutReport;
import dev.sluice.proto.control.v1.RuleEvidence;
import dev.sluice.proto.control.v1.SegmentReport;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// What a report says, and in which order: the outcome first, then why, then what it rests on.
public final class ReportDocument {

  /// Segments with plots of their own.
  private static final int SEGMENTS_DRAWN = 12;

  private static final int RULES_TOLD = 24;

  private final RolloutReport report;
  private final Rollout rollout;
  private final List<String> explanation;
  private final List<String> replay;
  private final List<Block> blocks = new ArrayList<>();

  /// @param explanation why the rollout is where it is, in sentences
  /// @param replay the outcome of weighing its log again, in sentences
  public ReportDocument(RolloutReport report, List<String> explanation, List<String> replay) {
    this.report = report;
    this.rollout = report.getRollout();
    this.explanation = List.copyOf(explanation);
    this.replay = List.copyOf(replay);
    write();
  }

  public String html() {
    return HtmlWriter.write("Rollout " + rollout.getName(), blocks);
  }

  public String markdown() {
    return MarkdownWriter.write(blocks);
  }

  private void write() {
    blocks.add(new Block.Heading(1, "Rollout %s: %s %d → %d".formatted(
        rollout.getName(), rollout.getModel(), rollout.getBaselineVersion(), rollout.getCandidateVersion())));
    blocks.add(banner());
    note();
    decision();
    evidence();
    timeline();
    exposure();
    disagreements();
    latencies();
    rules();
    trail();
    blocks.add(new Block.Verbatim("The note, as it was frozen (SHA-256 %s)".formatted(rollout.getNoteSha256()), rollout.getNote()));
    blocks.add(new Block.Paragraph("Made at %s.".formatted(time(report.getTime()))));
  }

  private Block.Banner banner() {
    String reason = rollout.getReason().isEmpty() ? "" : ": " + rollout.getReason();
    return switch (rollout.getState()) {
      case PROMOTED -> new Block.Banner(Block.Tone.GOOD, "Promoted: version %d is the default%s".formatted(rollout.getCandidateVersion(), reason));
      case STOPPED -> new Block.Banner(Block.Tone.BAD, "Stopped: version %d answers everything%s".formatted(rollout.getBaselineVersion(), reason));
      case ABORTED -> new Block.Banner(Block.Tone.BAD, "Aborted: version %d answers everything%s".formatted(rollout.getBaselineVersion(), reason));
      case SHADOW, CANARY, PAUSED, ROLLOUT_STATE_UNSPECIFIED, UNRECOGNIZED ->
          new Block.Banner(Block.Tone.OPEN, "Not ended: %s, step %d of %d%s".formatted(
              rollout.getState(), RolloutPicture.step(rollout), rollout.getStepCount(), reason));
    };
  }

  private void note() {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("model", rollout.getModel()));
    rows.add(List.of("baseline, candidate", "version %d, version %d".formatted(rollout.getBaselineVersion(), rollout.getCandidateVersion())));
    rows.add(List.of("owner", rollout.getOwner()));
    rows.add(List.of("begun", time(rollout.getCreateTime())));
    rows.add(List.of("last change", time(rollout.getUpdateTime())));
    rows.add(List.of("steps", String.valueOf(rollout.getStepCount())));
    rows.add(List.of("attempt", String.valueOf(rollout.getAttempt())));
    rows.add(List.of("chance of ever stopping a healthy candidate", "at most " + Figures.number(rollout.getAlpha())));
    rows.add(List.of("mode", rollout.getDryRun() ? "dry run: verdicts are written down and not acted upon" : "live"));
    blocks.add(new Block.Table(List.of("what", "value"), rows));
    if (report.hasObservedSince()) {
      blocks.add(new Block.Paragraph(
          "The gateway restarted during this rollout: counts and distributions are of the time since %s. Evidence, verdict and audit trail are of all of it."
              .formatted(time(report.getObservedSince()))));
    }
  }

  private void decision() {
    blocks.add(new Block.Heading(2, "The decision"));
    blocks.add(new Block.Items(explanation.stream().map(String::strip).toList()));
    Replay made = report.getReplay();
    blocks.add(
        report.hasReplay()
            ? new Block.Banner(
                made.getIdentical() ? Block.Tone.GOOD : Block.Tone.BAD,
                made.getIdentical() ? "Replayed from its log: identical" : "Replayed from its log: NOT identical")
            : new Block.Banner(Block.Tone.OPEN, report.getNoReplay()));
    if (report.hasReplay()) {
      blocks.add(new Block.Items(replay));
    }
  }

  private void evidence() {
    blocks.add(new Block.Heading(2, "Evidence over time"));
    if (report.getCourse().getPointsCount() < 2) {
      blocks.add(new Block.Paragraph("The course of the evidence was not kept: too little happened, or it was lost with its process."));
      return;
    }
    blocks.add(new Block.Paragraph(
        "Each line is the weighted evidence of one rule in one place; the rollout stops when those of one clock add up to the boundary. The scale is logarithmic, and evidence falls when requests go well."));
    blocks.add(Plots.evidence(report.getCourse(), rollout));
  }

  private void timeline() {
    blocks.add(new Block.Heading(2, "Steps"));
    List<List<String>> rows = new ArrayList<>();
    Timestamp before = null;
    for (Event event : report.getEventsList()) {
      String since = before == null ? "-" : Plots.duration(Math.max(0, Timestamps.toMillis(event.getTime()) - Timestamps.toMillis(before)));
      before = event.getTime();
      rows.add(List.of(time(event.getTime()), since, event.getKind(), event.getReason()));
    }
    blocks.add(new Block.Table(List.of("time", "after", "what", "why"), rows));
  }

  private void exposure() {
    blocks.add(new Block.Heading(2, "What was exposed"));
    blocks.add(new Block.Table(
        List.of("version", "live requests", "copies seen", "sticky keys, about", "failed", "run time"),
        List.of(
            exposed("baseline", rollout.getBaselineExposed(), overall().getBaseline().getFailed()),
            exposed("candidate", rollout.getCandidateExposed(), overall().getCandidate().getFailed()))));
    Map<String, Long> fallbacks = new TreeMap<>(overall().getFallbacksMap());
    if (!fallbacks.isEmpty()) {
      blocks.add(new Block.Table(
          List.of("the baseline answered in the candidate's place", "requests"),
          fallbacks.entrySet().stream().map(f -> List.of(f.getKey(), Figures.count(f.getValue()))).toList()));
    }
  }

  private static List<String> exposed(String name, Exposed exposed, long failed) {
    return List.of(
        name, Figures.count(exposed.getRequests()), Figures.count(exposed.getCopies()), Figures.count(exposed.getKeys()),
        Figures.count(failed), Plots.duration(Math.round(exposed.getRunMillis())));
  }

  private SegmentReport overall() {
    return rollout.getSegmentsCount() == 0 ? SegmentReport.getDefaultInstance() : rollout.getSegments(0);
  }

  private void disagreements() {
    if (overall().getCompared() == 0) {
      return;
    }
    blocks.add(new Block.Heading(2, "Disagreement"));
    List<List<String>> rows = new ArrayList<>();
    for (SegmentReport segment : rollout.getSegmentsList()) {
      rows.add(List.of(
          RolloutPicture.segmentName(segment.getSegment()), Figures.count(segment.getCompared()), Figures.count(segment.getDisagreed()),
          share(segment.getDisagreed(), segment.getCompared()), Figures.count(segment.getRepeated()),
          share(segment.getRepeatDisagreed(), segment.getRepeated())));
    }
    blocks.add(new Block.Table(
        List.of("segment", "compared", "disagreed", "share", "run twice by the baseline", "baseline disagreed with itself"), rows));
    List<List<String>> causes = new ArrayList<>();
    for (SegmentReport segment : rollout.getSegmentsList()) {
      new TreeMap<>(segment.getDisagreementsByCauseMap()).forEach((cause, count) ->
          causes.add(List.of(RolloutPicture.segmentName(segment.getSegment()), cause.replace('_', ' '), Figures.count(count))));
    }
    if (!causes.isEmpty()) {
      blocks.add(new Block.Heading(3, "By cause"));
      blocks.add(new Block.Table(List.of("segment", "cause", "requests"), causes));
    }
    for (SegmentReport segment : drawn()) {
      Block.Plot plot = Plots.disagreement(segment);
      if (plot != null) {
        blocks.add(plot);
      }
    }
  }

  private static String share(long part, long whole) {
    return whole == 0 ? "-" : Figures.number(100.0 * part / whole) + " %";
  }

  private void latencies() {
    blocks.add(new Block.Heading(2, "Latency"));
    if (rollout.getSegmentsCount() == 0) {
      blocks.add(new Block.Paragraph("What both versions did was not kept."));
      return;
    }
    List<List<String>> rows = new ArrayList<>();
    for (SegmentReport segment : rollout.getSegmentsList()) {
      rows.add(latencies(segment, "baseline", segment.getBaseline().getLatencyMicros()));
      rows.add(latencies(segment, "candidate", segment.getCandidate().getLatencyMicros()));
    }
    blocks.add(new Block.Table(List.of("segment", "version", "calls", "p50", "p90", "p99", "most"), rows));
    drawn().forEach(segment -> blocks.add(Plots.latency(segment)));
  }

  private static List<String> latencies(SegmentReport segment, String version, Distribution latency) {
    return List.of(
        RolloutPicture.segmentName(segment.getSegment()), version, Figures.count(latency.getCount()),
        Plots.micros(latency, Distribution::getP50), Plots.micros(latency, Distribution::getP90),
        Plots.micros(latency, Distribution::getP99), Plots.micros(latency, Distribution::getMax));
  }

  /// The segment in which it stopped always is among them.
  private List<SegmentReport> drawn() {
    List<SegmentReport> ran = rollout.getSegmentsList().stream()
        .filter(s -> s.getBaseline().getLatencyMicros().getCount() + s.getCandidate().getLatencyMicros().getCount() > 0)
        .toList();
    List<SegmentReport> drawn = new ArrayList<>(ran.subList(0, Math.min(SEGMENTS_DRAWN, ran.size())));
    ran.stream().skip(SEGMENTS_DRAWN)
        .filter(s -> s.getSegment().equals(rollout.getStop().getSegment()))
        .forEach(drawn::add);
    return drawn;
  }

  private void rules() {
    if (rollout.getRulesCount() == 0) {
      return;
    }
    blocks.add(new Block.Heading(2, "Where the stop rules stand"));
    List<List<String>> rows = rollout.getRulesList().stream()
        .sorted(java.util.Comparator.comparingDouble(RolloutPicture::nearness).reversed())
        .limit(RULES_TOLD)
        .map(ReportDocument::rule)
        .toList();
    blocks.add(new Block.Table(
        List.of("rule", "segment", "limit", "against", "of", "evidence", "fires alone at", "share of alpha"), rows));
    if (rollout.getRulesCount() > RULES_TOLD) {
      blocks.add(new Block.Paragraph("And %d more, farther from firing.".formatted(rollout.getRulesCount() - RULES_TOLD)));
    }
  }

  private static List<String> rule(RuleEvidence rule) {
    return List.of(
        rule.getRule() + (rule.getPart() == 0 ? "" : " (%d)".formatted(rule.getPart() + 1)) + (rule.getHolding() ? ", holds the rollout" : ""),
        RolloutPicture.segmentName(rule.getSegment()), Figures.number(rule.getLimit()), Figures.count(rule.getBad()),
        Figures.count(rule.getDispatched()), Figures.number(rule.getEvidence()),
        rule.getThreshold() == 0 ? "-" : Figures.number(rule.getThreshold()), Figures.number(rule.getAlphaShare() * 100) + " %");
  }

  private void trail() {
    blocks.add(new Block.Heading(2, "Audit trail"));
    blocks.add(new Block.Table(
        List.of("revision", "time", "what", "by", "why", "hash"),
        report.getEventsList().stream()
            .map(event -> List.of(
                String.valueOf(event.getRevision()), time(event.getTime()), event.getKind(), event.getActor(), event.getReason(),
                event.getHash().substring(0, Math.min(12, event.getHash().length()))))
            .toList()));
  }

  private static String time(Timestamp timestamp) {
    return Instant.ofEpochSecond(timestamp.getSeconds(), timestamp.getNanos() / 1_000_000 * 1_000_000L).toString();
  }
}
