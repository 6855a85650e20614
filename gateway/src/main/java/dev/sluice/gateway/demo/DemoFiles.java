package dev.sluice.gateway.demo;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.stream.Stream;

/// The demo's temporary folder: a model repository to which versions are added as they are "delivered", and a store.
final class DemoFiles implements AutoCloseable {

  private final Path root;

  DemoFiles() throws IOException {
    this.root = Files.createTempDirectory("sluice-demo-");
    copy("models/fraud/config.pbtxt");
  }

  Path models() {
    return root.resolve("models");
  }

  Path data() {
    return root.resolve("data");
  }

  void deliver(int version) throws IOException {
    copy("models/fraud/" + version + "/model.onnx");
  }

  static String note(String name) throws IOException {
    try (InputStream in = resource("notes/" + name)) {
      return new String(in.readAllBytes(), UTF_8);
    }
  }

  private void copy(String file) throws IOException {
    Path target = root.resolve(file);
    Files.createDirectories(target.getParent());
    try (InputStream in = resource(file)) {
      Files.copy(in, target);
    }
  }

  private static InputStream resource(String file) throws IOException {
    InputStream in = DemoFiles.class.getResourceAsStream("/payment-fraud/" + file);
    if (in == null) {
      throw new IOException("payment-fraud/" + file + " is missing from the class path");
    }
    return in;
  }

  @Override
  public void close() throws IOException {
    try (Stream<Path> files = Files.walk(root)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
