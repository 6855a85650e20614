/// What the inference face and the control face have in common as gRPC servers.
/// No service and no decision lives here.
@NullMarked
package dev.sluice.gateway.rpc;

import org.jspecify.annotations.NullMarked;
