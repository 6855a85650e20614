/// Tests of the repository, on real directories.
/// Nothing here stands in for a model: each is a real file.
@NullMarked
package dev.sluice.runtime.repository;

import org.jspecify.annotations.NullMarked;
