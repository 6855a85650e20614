/// What tests of any module need to have real models at hand: ONNX files written in the test, test data, comparisons.
/// Nothing here is a fake of the runtime; what runs is ONNX Runtime.
@NullMarked
package dev.sluice.runtime.testing;

import org.jspecify.annotations.NullMarked;
