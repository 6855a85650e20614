/// The inference protocol's HTTP face: paths and JSON in, the shared request and response messages below, JSON and binary out.
/// No tensor is checked, no version chosen and no model run here: that is the same as over gRPC, and in `inference`.
@NullMarked
package dev.sluice.gateway.http;

import org.jspecify.annotations.NullMarked;
