/// A seeded stream of synthetic card payments, and the features by which a model scores them for fraud.
/// Nothing here trains or runs a model, and nothing here depends on anything but the JDK.
@NullMarked
package dev.sluice.examples.fraud;

import org.jspecify.annotations.NullMarked;
