/// The program that trains the three versions of the fraud model, writes them as ONNX and prints how good they are.
/// It needs Tribuo and ONNX Runtime, which users of the payment stream do not get: no other package may use this one.
@NullMarked
package dev.sluice.examples.fraud.training;

import org.jspecify.annotations.NullMarked;
