/// The measuring of Sluice beside bare gRPC and bare ONNX Runtime: contenders as processes, the goals' rows, `sluice bench`.
/// What is measured is not changed for it: no other room knows this one.
@NullMarked
package dev.sluice.gateway.bench;

import org.jspecify.annotations.NullMarked;
