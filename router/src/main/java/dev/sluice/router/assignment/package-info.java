/// Who answers a request: segments, sticky keys, weights, and the one word that every request reads.
/// Nothing here counts evidence or knows the plan that the weight comes from.
@NullMarked
package dev.sluice.router.assignment;

import org.jspecify.annotations.NullMarked;
