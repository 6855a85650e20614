/// A rollout drawn in characters: once for a reader, or again and again in place for someone who watches.
/// It draws what the control API reports; fetching it, and explaining it in sentences, happens elsewhere.
@NullMarked
package dev.sluice.gateway.cli.picture;

import org.jspecify.annotations.NullMarked;
