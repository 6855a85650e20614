/// The models: what they accept and return, where they are kept, and how they are run.
/// Nothing here knows of rollouts, of the server, or of who is calling.
@NullMarked
package dev.sluice.runtime;

import org.jspecify.annotations.NullMarked;
