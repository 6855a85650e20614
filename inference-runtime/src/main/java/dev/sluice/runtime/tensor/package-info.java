/// Tensors as the protocol carries them: a name, a datatype, a shape, and little-endian bytes.
/// Nothing here knows how a model computes or how a request is encoded.
@NullMarked
package dev.sluice.runtime.tensor;

import org.jspecify.annotations.NullMarked;
