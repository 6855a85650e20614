/// The policy of a release. Pure functions and counters: time, keys and numbers come in as arguments, decisions go out as values.
/// Nothing here reads a clock, draws a random number, starts a thread, logs, or knows gRPC, ONNX or a database.
@NullMarked
package dev.sluice.router;

import org.jspecify.annotations.NullMarked;
