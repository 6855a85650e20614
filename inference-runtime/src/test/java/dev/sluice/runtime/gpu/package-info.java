/// Tests of the package of the same name.
/// Nothing here is used by other tests.
@NullMarked
package dev.sluice.runtime.gpu;

import org.jspecify.annotations.NullMarked;
