/// The command line: what a person types, turned into calls to a running gateway, and its answers into text or JSON.
/// No decision and no state lives here; a command knows the wire and nothing behind it.
@NullMarked
package dev.sluice.gateway.cli;

import org.jspecify.annotations.NullMarked;
