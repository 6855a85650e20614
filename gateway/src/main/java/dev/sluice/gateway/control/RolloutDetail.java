package dev.sluice.gateway.control;

import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.rollout.RolloutState;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.Stop;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// The numbers behind a decision, as JSON for the audit trail: the exposure decided on and the evidence of every rule.
final class RolloutDetail {

  private static final JsonMapper JSON = JsonMapper.builder().build();

  private RolloutDetail() {}

  static String json(StoredRollout stored, @Nullable LiveRollout live) {
    RolloutState state = stored.state();
    ObjectNode detail = JSON.createObjectNode();
    detail.put("stage", state.stage().getClass().getSimpleName());
    detail.put("epoch", state.epoch());
    detail.put("weightBasisPoints", state.weightBasisPoints());
    detail.put("shadowBasisPoints", state.shadowBasisPoints());
    if (live != null) {
      ArrayNode rules = detail.putArray("rules");
      ArmedRules armed = live.ledger().rules();
      detail.put("alpha", armed.alpha());
      detail.put("threshold", armed.threshold());
      detail.put("attempt", stored.attempt());
      detail.put("noteSha256", stored.noteSha256());
      EvidenceLedger ledger = live.ledger();
      for (ArmedRule test : armed.armed()) {
        // Of a thousand segments those that have something to say.
        if (test.segment() == ArmedRule.OVERALL
            || (test.segment() < ledger.segmentCount() && ledger.bad(test.rule(), test.segment()) > 0)) {
          ObjectNode row = rules.addObject();
          row.put("rule", armed.rules().get(test.rule()).name());
          row.put("segment", ledger.segmentName(test.segment()));
          row.put("part", test.part());
          row.put("bad", ledger.bad(test.rule(), test.segment()));
          row.put("events", ledger.events(test.rule(), test.segment()));
          row.put("evidence", ledger.evidence(test));
          row.put("alphaShare", test.share());
        }
      }
      EvidenceLedger.Trip trip = ledger.trip();
      if (trip != null) {
        addVerdict(detail.putObject("verdict"), ledger.describe(trip), armed.armed(trip.rule(), trip.segment()), ledger);
      }
    }
    return JSON.writeValueAsString(detail);
  }

  /// What a replay must come to.
  private static void addVerdict(ObjectNode verdict, Stop stop, @Nullable ArmedRule test, EvidenceLedger ledger) {
    verdict.put("rule", stop.rule());
    verdict.put("segment", stop.segment());
    verdict.put("bad", stop.bad());
    verdict.put("events", stop.events());
    verdict.put("boundary", stop.boundary());
    verdict.put("line", stop.line());
    verdict.put("evidence", stop.evidence());
    verdict.put("evidenceBits", Replays.bits(stop.evidence()));
    verdict.put("threshold", stop.threshold());
    if (test != null) {
      verdict.put("alphaShare", test.share());
      verdict.put("ruleEvidence", test.share() * ledger.evidence(test));
    }
  }
}
