/// Tests of tensors and shapes.
/// Nothing here runs a model.
@NullMarked
package dev.sluice.runtime.tensor;

import org.jspecify.annotations.NullMarked;
