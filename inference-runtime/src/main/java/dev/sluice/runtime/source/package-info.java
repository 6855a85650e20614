/// Where a version's files really lie: in its folder, or behind the URLs of its `model.source`, fetched once into a
/// bounded local cache and believed only by their SHA-256. Nothing here knows what is in a file or runs it.
@NullMarked
package dev.sluice.runtime.source;

import org.jspecify.annotations.NullMarked;
