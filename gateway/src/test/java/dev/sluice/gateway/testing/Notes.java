package dev.sluice.gateway.testing;

/// Rollout notes for tests: version 2 of the model `m` in place of version 1.
public final class Notes {

  private Notes() {}

  /// @param rest the lines that matter to the test, at least `steps` and `stopRules`
  public static String note(String rollout, String rest) {
    return """
        rollout: %s
        model: m
        owner: owner@example.com
        baseline: 1
        candidate: 2
        """
            .formatted(rollout)
        + rest;
  }
}
