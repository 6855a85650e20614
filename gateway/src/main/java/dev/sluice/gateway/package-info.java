/// The server: the one place that knows both the policy and the models, and the composition root that joins them.
/// Decisions belong to the router, and running a model to the runtime; neither is made here.
@NullMarked
package dev.sluice.gateway;

import org.jspecify.annotations.NullMarked;
