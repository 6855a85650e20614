package dev.sluice.gateway.config;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// A Unix domain socket on which inference over gRPC listens too: for clients on the same machine, such as a process
/// that has the gateway as its sidecar.
///
/// @param path of the socket's file, at most [#PATH_BYTES_MAX] bytes: the kernel has no room for more
/// @param mode who may connect, as a file's permissions: 0660 is owner and group
public record UnixListener(Path path, int mode) {
  public static final int MODE = 0660;

  /// Linux's `sun_path` less its final zero; the other systems are at most four bytes below.
  static final int PATH_BYTES_MAX = 107;

  public UnixListener {
    List<String> problems = new ArrayList<>();
    int bytes = path.toString().getBytes(UTF_8).length;
    if (bytes == 0 || bytes > PATH_BYTES_MAX) {
      problems.add("grpc-uds: '%s' has %d bytes; expected 1 to %d".formatted(path, bytes, PATH_BYTES_MAX));
    }
    if (mode < 0 || mode > 0777) {
      problems.add("grpc-uds-mode: %o is not between 0 and 777 (octal)".formatted(mode));
    }
    if (!problems.isEmpty()) {
      throw new IllegalArgumentException(String.join("\n", problems));
    }
  }
}
