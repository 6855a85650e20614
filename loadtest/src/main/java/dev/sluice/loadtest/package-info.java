/// The load tester and its command line.
/// It knows the wire alone, so it measures any Open Inference Protocol server and never the inside of ours.
@NullMarked
package dev.sluice.loadtest;

import org.jspecify.annotations.NullMarked;
