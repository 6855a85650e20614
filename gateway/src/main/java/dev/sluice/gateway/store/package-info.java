/// What survives a restart: rollouts, serving versions and the audit trail in a database, evidence in mapped files.
/// Nothing here decides; the single writer of the control plane says what is written, and this room keeps it whole.
@NullMarked
package dev.sluice.gateway.store;

import org.jspecify.annotations.NullMarked;
