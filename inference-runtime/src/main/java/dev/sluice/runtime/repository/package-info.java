/// The directory of models: what lies on disk, what is configured, what is loaded, and how one replaces another.
/// Nothing here computes a model, and nothing here chooses which version answers a request.
@NullMarked
package dev.sluice.runtime.repository;

import org.jspecify.annotations.NullMarked;
