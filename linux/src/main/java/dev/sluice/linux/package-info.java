/// What this process asks of Linux itself: when threads run, and freed memory back.
/// Nothing here knows a model, and everything does nothing where the system has no such call.
@NullMarked
package dev.sluice.linux;

import org.jspecify.annotations.NullMarked;
