/// Settings of one gateway, as values with their defaults written once.
/// They are read at the edge; inside, the record is passed on.
@NullMarked
package dev.sluice.gateway.config;

import org.jspecify.annotations.NullMarked;
