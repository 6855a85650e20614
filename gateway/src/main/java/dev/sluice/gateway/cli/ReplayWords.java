package dev.sluice.gateway.cli;

import dev.sluice.gateway.cli.picture.Figures;
import dev.sluice.proto.control.v1.Replay;
import dev.sluice.proto.control.v1.Verdict;
import java.util.ArrayList;
import java.util.List;

/// The outcome of a replay in sentences: what was weighed, to what it led now, what had been decided, and whether that is the same.
final class ReplayWords {

  private ReplayWords() {}

  static List<String> of(Replay replay) {
    List<String> sentences = new ArrayList<>();
    sentences.add("%s: %s lines of the evidence log weighed again, from line %s%s, with alpha %s (attempt %d).".formatted(
        replay.getRollout(), Figures.count(replay.getLines()), Figures.count(replay.getFirstLine()),
        replay.getFirstLine() == 0 ? "" : " and the weights saved there", Figures.number(replay.getAlpha()), replay.getAttempt()));
    if (replay.getWeightsCompared() > 0) {
      sentences.add("%s words of the weights were compared with those of then, bit by bit.".formatted(Figures.count(replay.getWeightsCompared())));
    }
    sentences.add("now:     " + (replay.hasNow() ? verdict(replay.getNow(), replay.getThreshold()) : "no verdict"));
    sentences.add("then:    " + (replay.hasThen() ? verdict(replay.getThen(), replay.getThreshold()) : "no verdict"));
    if (replay.hasWritten()) {
      sentences.add("written: " + verdict(replay.getWritten(), replay.getThreshold()));
    }
    sentences.add(replay.getIdentical() ? "Identical, to the last bit." : "NOT identical.");
    return sentences;
  }

  private static String verdict(Verdict verdict, double threshold) {
    return "%s %s at line %s: %s against the candidate of %s, evidence %s (bits %s) where %s is enough".formatted(
        verdict.getRule(), verdict.getSegment().isEmpty() ? "overall" : "in " + verdict.getSegment(),
        Figures.count(verdict.getLine()), Figures.count(verdict.getBad()), Figures.count(verdict.getEvents()),
        verdict.getEvidence(), verdict.getEvidenceBits(), threshold);
  }
}
