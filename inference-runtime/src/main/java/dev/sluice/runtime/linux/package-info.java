/// What this process asks of Linux itself: priorities of threads, and freed memory back.
/// Nothing here knows a model, and everything does nothing where the system has no such call.
@NullMarked
package dev.sluice.runtime.linux;

import org.jspecify.annotations.NullMarked;
