/// Stop rules: promises with a number, the evidence collected for and against them, and the verdict.
/// A verdict is only a value here; whoever records the tripping observation performs the flip.
@NullMarked
package dev.sluice.router.stop;

import org.jspecify.annotations.NullMarked;
