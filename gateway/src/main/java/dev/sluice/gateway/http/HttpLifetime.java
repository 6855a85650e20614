package dev.sluice.gateway.http;

import dev.sluice.gateway.routing.CallLifetime;
import java.util.ArrayList;
import java.util.List;

/// How long an HTTP caller waits: until it closes its connection. HTTP has no deadline that a caller could send.
final class HttpLifetime implements CallLifetime {

  private volatile boolean over;

  /// Guarded by this; a request has one or two.
  private final List<Runnable> actions = new ArrayList<>(2);

  @Override
  public long remainingNanos() {
    return Long.MAX_VALUE;
  }

  @Override
  public boolean isOver() {
    return over;
  }

  @Override
  public Registration onOver(Runnable action) {
    // An identity of its own: the same action may be registered twice.
    Runnable registered = () -> action.run();
    synchronized (this) {
      if (!over) {
        actions.add(registered);
        return () -> remove(registered);
      }
    }
    action.run();
    return () -> {};
  }

  private synchronized void remove(Runnable registered) {
    actions.remove(registered);
  }

  /// The caller has gone.
  void end() {
    List<Runnable> registered;
    synchronized (this) {
      if (over) {
        return;
      }
      over = true;
      registered = List.copyOf(actions);
      actions.clear();
    }
    registered.forEach(Runnable::run);
  }
}
