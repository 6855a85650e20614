package dev.sluice.runtime.source;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import javax.net.ssl.SSLContext;

/// An HTTP server on loopback whose answers a test writes, and which remembers what it was asked.
final class FileServer implements AutoCloseable {
  /// Answers one request; the exchange is closed afterwards.
  interface Answer {
    void to(HttpExchange exchange) throws IOException;
  }

  private final HttpServer server;
  private final String scheme;
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final List<String> requests = Collections.synchronizedList(new ArrayList<>());

  private FileServer(HttpServer server, String scheme) {
    this.server = server;
    this.scheme = scheme;
    server.setExecutor(threads);
    server.start();
  }

  static FileServer plain() throws IOException {
    return new FileServer(HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0), "http");
  }

  static FileServer secure(SSLContext identity) throws IOException {
    HttpsServer server = HttpsServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.setHttpsConfigurator(new HttpsConfigurator(identity));
    return new FileServer(server, "https");
  }

  /// Answers everything below the path.
  FileServer on(String path, Answer answer) {
    server.createContext(
        path,
        exchange -> {
          try (exchange) {
            String range = exchange.getRequestHeaders().getFirst("Range");
            requests.add(exchange.getRequestURI().getRawPath() + (range == null ? "" : " " + range));
            answer.to(exchange);
          }
        });
    return this;
  }

  /// Serves these bytes, from the middle too.
  FileServer file(String path, byte[] bytes) {
    return on(path, exchange -> send(exchange, bytes));
  }

  static void send(HttpExchange exchange, byte[] bytes) throws IOException {
    String range = exchange.getRequestHeaders().getFirst("Range");
    int begin = range == null ? 0 : Integer.parseInt(range.substring("bytes=".length(), range.length() - 1));
    if (begin > 0) {
      exchange.getResponseHeaders().set("Content-Range", "bytes %d-%d/%d".formatted(begin, bytes.length - 1, bytes.length));
    }
    exchange.sendResponseHeaders(begin > 0 ? 206 : 200, bytes.length - begin);
    exchange.getResponseBody().write(bytes, begin, bytes.length - begin);
  }

  /// Promises all and sends the first of them.
  static void sendPart(HttpExchange exchange, byte[] bytes, int part) throws IOException {
    exchange.sendResponseHeaders(200, bytes.length);
    exchange.getResponseBody().write(bytes, 0, part);
    exchange.getResponseBody().flush();
  }

  String url(String path) {
    return "%s://127.0.0.1:%d%s".formatted(scheme, server.getAddress().getPort(), path);
  }

  URI uri() {
    return URI.create(url(""));
  }

  /// Path and range of each request, in order.
  List<String> requests() {
    return List.copyOf(requests);
  }

  @Override
  public void close() {
    server.stop(0);
    threads.shutdownNow();
  }
}
