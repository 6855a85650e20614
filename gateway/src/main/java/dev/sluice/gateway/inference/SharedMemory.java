package dev.sluice.gateway.inference;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.routing.InferenceFailure.Kind;

/// Memory shared with clients, which is not offered: there are no regions, and none can be made.
///
/// Clients and their examples ask for the regions there are and take them all back before they register any, so those two
/// succeed; what would need a region is refused in the words that clients know.
public final class SharedMemory {

  private static final String DISABLED =
      "Client shared memory is disabled. This server does not offer it; send tensors within the request.";

  private SharedMemory() {}

  /// Answers a question about a region, or about all of them when the name is empty.
  ///
  /// @param what `system` or `cuda`
  public static void requireNone(String what, String name) throws InferenceFailure {
    if (!name.isEmpty()) {
      throw new InferenceFailure(
          Kind.UNKNOWN_SHARED_MEMORY, "Unable to find %s shared memory region: '%s'".formatted(what, name));
    }
  }

  /// Registers a region: never.
  public static InferenceFailure refused() {
    return InferenceFailure.unsupported(DISABLED);
  }

  /// Unregisters a region, or all of them when the name is empty.
  public static void unregister(String name) throws InferenceFailure {
    if (!name.isEmpty()) {
      throw refused();
    }
  }

  /// A tensor of a request is said to lie in a region.
  static InferenceFailure unknown(String region) {
    return new InferenceFailure(
        Kind.UNKNOWN_SHARED_MEMORY,
        "Unable to find shared memory region: '%s'. Shared memory is not offered; send tensors within the request."
            .formatted(region));
  }
}
