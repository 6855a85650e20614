/// Tests of the ONNX part, against ONNX Runtime itself.
/// Nothing here stands in for a model: each is a real file.
@NullMarked
package dev.sluice.runtime.onnx;

import org.jspecify.annotations.NullMarked;
