/// How the requests of one model version wait for their run and share it: the policy, the bounded queue, the threads.
/// Nothing here knows who the callers are, which version a request goes to, or how a model computes.
@NullMarked
package dev.sluice.runtime.batching;

import org.jspecify.annotations.NullMarked;
