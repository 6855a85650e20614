/// The inference protocol's face: requests in, tensors checked, answers and statuses out.
/// Which version answers is not decided here, and models are not run here.
@NullMarked
package dev.sluice.gateway.inference;

import org.jspecify.annotations.NullMarked;
