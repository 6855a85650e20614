/// How requests for one model version wait and how they are put together: the policy, the queue, the threads that run it.
/// Nothing here knows which version answers a request, or why.
@NullMarked
package dev.sluice.runtime.batching;

import org.jspecify.annotations.NullMarked;
