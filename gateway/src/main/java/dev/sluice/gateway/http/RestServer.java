package dev.sluice.gateway.http;

import dev.sluice.gateway.admission.ByteBudget;
import dev.sluice.gateway.inference.Inference;
import dev.sluice.gateway.inference.ModelQueries;
import dev.sluice.gateway.inference.RepositoryRequests;
import dev.sluice.gateway.inference.ServerSettings;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.io.ManagedSelector;
import org.eclipse.jetty.io.SocketChannelEndPoint;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.NetworkConnectionLimit;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.handler.ErrorHandler;
import org.eclipse.jetty.server.handler.GracefulHandler;
import org.eclipse.jetty.util.Callback;
import org.eclipse.jetty.util.thread.QueuedThreadPool;

/// Port 8000: the Open Inference Protocol over HTTP/1.1.
///
/// Requests are answered asynchronously: a connection that waits for a model, for its client's bytes or for its client to read
/// holds no thread.
public final class RestServer implements AutoCloseable {

  private static final int CONNECTIONS_MAX = 4096;

  /// Connections above the limit wait to be accepted; idle ones are closed the sooner then.
  private static final Duration IDLE_MAX_AT_THE_LIMIT = Duration.ofSeconds(5);

  /// Between bytes of a request, between requests, and for a client to take bytes of its response.
  private static final Duration IDLE_MAX = Duration.ofSeconds(60);

  private static final int HEADER_BYTES_MAX = 16 << 10;
  private static final int THREADS_PER_CORE = 4;
  private static final int THREADS_MIN = 16;

  private final Server server;
  private final ServerConnector connector;
  private final GracefulHandler graceful;
  private volatile CompletableFuture<Void> drained = new CompletableFuture<>();

  private RestServer(Server server, ServerConnector connector, GracefulHandler graceful) {
    this.server = server;
    this.connector = connector;
    this.graceful = graceful;
  }

  /// Starts a server; when this returns it answers.
  ///
  /// @param bytesMax the largest request or response
  /// @param budget of the bytes that all requests together may hold
  /// @param slow bounded, for requests that take as long as a model's load does
  /// @throws IOException if the address cannot be listened on
  public static RestServer start(
      InetSocketAddress address,
      int bytesMax,
      ByteBudget budget,
      Inference inference,
      ModelQueries queries,
      RepositoryRequests requests,
      ServerSettings settings,
      Executor slow)
      throws IOException {
    int cores = Runtime.getRuntime().availableProcessors();
    QueuedThreadPool threads = new QueuedThreadPool(Math.max(THREADS_MIN, THREADS_PER_CORE * cores), THREADS_MIN / 2);
    threads.setName("sluice-http");
    threads.setDaemon(true);
    Server server = new Server(threads);

    HttpConfiguration http = new HttpConfiguration();
    http.setRequestHeaderSize(HEADER_BYTES_MAX);
    http.setSendServerVersion(false);
    ServerConnector connector = new WatchingConnector(server, new HttpConnectionFactory(http));
    connector.setHost(address.getAddress().getHostAddress());
    connector.setPort(address.getPort());
    connector.setIdleTimeout(IDLE_MAX.toMillis());
    server.addConnector(connector);

    NetworkConnectionLimit limit = new NetworkConnectionLimit(CONNECTIONS_MAX, connector);
    limit.setEndPointIdleTimeout(IDLE_MAX_AT_THE_LIMIT.toMillis());
    server.addBean(limit);

    Questions questions = new Questions(queries, requests, settings, bytesMax);
    Draining graceful = new Draining();
    graceful.setHandler(new RestHandler(inference, questions, slow, bytesMax, budget));
    server.setHandler(graceful);
    server.setErrorHandler(new Errors());
    server.setStopTimeout(0); // a drain is asked for before

    try {
      server.start();
    } catch (Exception e) {
      stop(server);
      if (e instanceof IOException io) {
        throw io;
      }
      throw new IllegalStateException("the HTTP server did not start", e);
    }
    return new RestServer(server, connector, graceful);
  }

  public int port() {
    return connector.getLocalPort();
  }

  /// Accepts no connection any more, and no request on those that are open: each is answered that the server shuts down.
  public void shutdown() {
    drained = graceful.shutdown();
    connector.close();
  }

  /// Waits for the requests in flight at a [#shutdown].
  ///
  /// @return false if some are still in flight after that time
  public boolean awaitTermination(long time, TimeUnit unit) throws InterruptedException {
    try {
      drained.get(time, unit);
      return true;
    } catch (TimeoutException | ExecutionException e) {
      return false;
    }
  }

  @Override
  public void close() {
    stop(server);
  }

  private static void stop(Server server) {
    try {
      server.stop();
    } catch (Exception e) {
      throw new IllegalStateException("the HTTP server did not stop", e);
    }
  }

  /// Connections whose clients are seen leaving.
  private static final class WatchingConnector extends ServerConnector {

    WatchingConnector(Server server, HttpConnectionFactory connections) {
      super(server, 1, -1, connections);
    }

    @Override
    protected SocketChannelEndPoint newEndPoint(SocketChannel channel, ManagedSelector selector, SelectionKey key) {
      WatchedEndPoint endPoint = new WatchedEndPoint(channel, selector, key, getScheduler(), getExecutor());
      endPoint.setIdleTimeout(getIdleTimeout());
      return endPoint;
    }
  }

  /// Requests in flight are counted; behind a shutdown none begins.
  private static final class Draining extends GracefulHandler {

    @Override
    protected void handleShutdownRejection(Request request, Response response, Callback callback) {
      new Exchange(request, response, callback)
          .refuseAndClose(
              HttpStatuses.SERVICE_UNAVAILABLE,
              "HTTP server is shutting down and has stopped accepting new requests.");
    }
  }

  /// What the server itself refuses, such as a header that is too large, in the protocol's form.
  private static final class Errors extends ErrorHandler {

    @Override
    protected void generateResponse(
        Request request, Response response, int code, String message, Throwable cause, Callback callback) {
      ByteBuffer body = Exchange.error(message);
      response.getHeaders().put(HttpHeader.CONTENT_TYPE, Exchange.JSON);
      response.getHeaders().put(HttpHeader.CONTENT_LENGTH, body.remaining());
      response.write(true, body, callback);
    }
  }
}
