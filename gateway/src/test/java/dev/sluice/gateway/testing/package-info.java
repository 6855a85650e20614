/// A real gateway on free ports, and the few things that tests say to it again and again.
/// No test lives here.
@NullMarked
package dev.sluice.gateway.testing;

import org.jspecify.annotations.NullMarked;
