package dev.sluice.gateway.control;

import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.rollout.RolloutState;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
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
      EvidenceLedger ledger = live.ledger();
      for (ArmedRule test : armed.armed()) {
        if (test.segment() < ledger.segmentCount()) {
          ObjectNode row = rules.addObject();
          row.put("rule", armed.rules().get(test.rule()).name());
          row.put("segment", ledger.segmentName(test.segment()));
          row.put("bad", ledger.bad(test.rule(), test.segment()));
          row.put("events", ledger.events(test.rule(), test.segment()));
          row.put("evidence", ledger.evidence(test));
          row.put("alphaShare", test.share());
        }
      }
      EvidenceLedger.Trip trip = ledger.trip();
      if (trip != null) {
        ObjectNode verdict = detail.putObject("verdict");
        verdict.put("line", trip.line());
        verdict.put("evidence", trip.evidence());
        verdict.put("evidenceBits", Long.toHexString(Double.doubleToLongBits(trip.evidence())));
        verdict.put("threshold", armed.threshold());
      }
    }
    return JSON.writeValueAsString(detail);
  }
}
