/// The queue in virtual time: the clock, the alarms and the threads are the test's.
@NullMarked
package dev.sluice.runtime.batching;

import org.jspecify.annotations.NullMarked;
