/// The rollout note as its owner writes it: YAML in, the router's `RolloutNote` or every problem with its place out.
/// What a note means is the router's business, and whether its model and versions exist is the repository's.
@NullMarked
package dev.sluice.gateway.note;

import org.jspecify.annotations.NullMarked;
