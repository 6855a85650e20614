/// The report of a rollout as one document, in Markdown or in HTML, with nothing outside of it. It writes what the control API
/// reports; fetching that, or reading it from files, happens elsewhere.
@NullMarked
package dev.sluice.gateway.cli.report;

import org.jspecify.annotations.NullMarked;
