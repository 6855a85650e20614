/// ONNX models on ONNX Runtime: the check of a file before it is loaded, and the sessions that compute.
/// Nothing here knows of versions, leases or the layout of a repository.
@NullMarked
package dev.sluice.runtime.onnx;

import org.jspecify.annotations.NullMarked;
