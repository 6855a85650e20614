/// What the gateway shows of itself to Prometheus, and the port it shows it on.
/// Nothing here decides, and nothing on a request's way waits for a scrape.
@NullMarked
package dev.sluice.gateway.metrics;

import org.jspecify.annotations.NullMarked;
