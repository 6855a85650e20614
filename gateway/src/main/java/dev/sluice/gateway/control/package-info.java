/// The control plane: commands from people and verdicts from the data path, taken one at a time by a single writer that writes
/// every decision down before it acts on it. What the decision should be is the router's business.
@NullMarked
package dev.sluice.gateway.control;

import org.jspecify.annotations.NullMarked;
