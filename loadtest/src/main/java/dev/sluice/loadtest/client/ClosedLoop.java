package dev.sluice.loadtest.client;

import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/// Keeps a fixed number of calls in flight: each answer lets the next request go, on the same connection. A slow server
/// is therefore asked less often, and its stalls show in the figures only as far as calls were there to feel them.
final class ClosedLoop extends Driver {
  private final List<Connection> connections;
  private final Window window;
  private final int concurrency;
  private final AtomicLong next = new AtomicLong();

  ClosedLoop(List<Connection> connections, Window window, int concurrency) {
    this.connections = connections;
    this.window = window;
    this.concurrency = concurrency;
  }

  @Override
  void begin() {
    inFlight.set(concurrency);
    for (int i = 0; i < concurrency; i++) {
      Connection connection = connections.get(i % connections.size());
      connection.execute(() -> callEnded(connection));
    }
  }

  @Override
  void callEnded(Connection connection) {
    // By way of the loop's queue: a call may fail before send() has returned, and the stack must not grow with it.
    connection.execute(() -> sendNext(connection));
  }

  private void sendNext(Connection connection) {
    long now = System.nanoTime();
    Window.Place place = stopped ? Window.Place.OVER : window.place(now);
    switch (place) {
      case WARM_UP, MEASURED -> connection.send(next.getAndIncrement(), now, place == Window.Place.MEASURED, this);
      case OVER -> {
        sendingEnded();
        release();
      }
    }
  }

  @Override
  long notSent() {
    return 0;
  }
}
