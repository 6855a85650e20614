/// Tests of the port: leases, controls and signatures.
/// Nothing here needs a model file; sessions are small fakes.
@NullMarked
package dev.sluice.runtime.model;

import org.jspecify.annotations.NullMarked;
