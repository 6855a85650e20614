package dev.sluice.gateway.control;

import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.store.StoredRollout;
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
      for (ArmedRule rule : armed.armed()) {
        long bad = live.ledger().bad(rule.rule(), rule.segment());
        ObjectNode row = rules.addObject();
        row.put("rule", armed.rules().get(rule.rule()).name());
        row.put("segment", rule.segment() == ArmedRule.OVERALL ? "" : live.segments().name(rule.segment()));
        row.put("bad", bad);
        row.put("dispatched", live.ledger().dispatched(rule.rule(), rule.segment()));
        row.put("boundary", rule.table().boundary(bad));
      }
    }
    return JSON.writeValueAsString(detail);
  }
}
