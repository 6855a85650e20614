/// What is sent: serialised requests made from a model's metadata or a payload file, and the callers that send them.
/// Every answer here is a pure function of a seed and the request's number; connections and clocks live elsewhere.
@NullMarked
package dev.sluice.loadtest.traffic;

import org.jspecify.annotations.NullMarked;
