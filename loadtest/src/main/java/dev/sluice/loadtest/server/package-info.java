/// The cheapest servers that can be written with gRPC, to hold others against: they answer `ModelInfer` and run no model.
/// What a server of models needs beyond that does not belong here.
@NullMarked
package dev.sluice.loadtest.server;

import org.jspecify.annotations.NullMarked;
