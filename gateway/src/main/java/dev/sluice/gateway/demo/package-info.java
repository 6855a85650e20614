/// `sluice demo`: a gateway, a stream of payments, one good release and one bad one, from beginning to summary.
/// It uses the gateway as a person would, over its ports; nothing of the gateway depends on it.
@NullMarked
package dev.sluice.gateway.demo;

import org.jspecify.annotations.NullMarked;
