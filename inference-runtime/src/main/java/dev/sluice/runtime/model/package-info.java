/// The port between callers and whatever runs a model: signatures, sessions, versions and their leases.
/// Nothing here knows ONNX, directories or requests.
@NullMarked
package dev.sluice.runtime.model;

import org.jspecify.annotations.NullMarked;
