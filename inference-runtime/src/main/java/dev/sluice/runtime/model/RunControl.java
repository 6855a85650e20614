package dev.sluice.runtime.model;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The caller's hand on its runs: whoever holds it may end them early, from any thread and at any time.
///
/// The monitor guards against the one dangerous race: a native handle freed by the run's thread while another thread
/// tells it to stop. Between [#begin] and [#end] the stop is safe to call; after `end` returns it is never called
/// again. It is uncontended unless somebody does terminate, and [#none] takes no part in it at all.
public final class RunControl {
  private static final RunControl NONE = new RunControl();

  /// Null while there is at most one run.
  private @Nullable List<Runnable> furtherStops;

  private @Nullable Runnable stop;
  private boolean terminated;

  /// A control for the runs of one call that may have to end before they are done.
  public static RunControl create() {
    return new RunControl();
  }

  /// The control of runs that nobody can end; it costs them nothing.
  public static RunControl none() {
    return NONE;
  }

  private RunControl() {}

  /// Ends the runs in progress soon, and those that start later at once, with
  /// [ModelExecutionException.Kind#TERMINATED].
  public void terminate() {
    if (this == NONE) {
      throw new UnsupportedOperationException("RunControl.none() is shared by all calls and cannot be terminated");
    }
    synchronized (this) {
      terminated = true;
      if (stop != null) {
        stop.run();
      }
      if (furtherStops != null) {
        furtherStops.forEach(Runnable::run);
      }
    }
  }

  public boolean isTerminated() {
    if (this == NONE) {
      return false;
    }
    synchronized (this) {
      return terminated;
    }
  }

  /// For a [Session]: whether it may start a run, and from now on how to stop it. Every `true` is followed by [#end].
  public synchronized boolean begin(Runnable stop) {
    if (terminated) {
      return false;
    }
    if (this.stop == null) {
      this.stop = stop;
    } else {
      if (furtherStops == null) {
        furtherStops = new ArrayList<>();
      }
      furtherStops.add(stop);
    }
    return true;
  }

  /// For a [Session]: the run is over; when this returns, the stop is not being called and never will be.
  public synchronized void end(Runnable stop) {
    if (stop.equals(this.stop)) {
      this.stop = null;
    } else if (furtherStops != null) {
      furtherStops.remove(stop);
    }
  }
}
