/// What the machine's NVIDIA GPUs say of themselves: how busy, how full, how hungry.
/// Nothing here runs a model, and a machine without them lacks nothing.
@NullMarked
package dev.sluice.runtime.gpu;

import org.jspecify.annotations.NullMarked;
