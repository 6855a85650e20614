package dev.sluice.runtime.source;

import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;
import java.util.concurrent.locks.ReentrantLock;

/// A lock for each name that somebody is busy with, and for no other.
///
/// Several are taken in the order of their names, so that two who want the same ones never wait for each other.
final class KeyedLocks {
  private static final class Counted {
    final ReentrantLock lock = new ReentrantLock();
    int users;
  }

  private final Map<String, Counted> locks = new HashMap<>();

  /// Held until closed, by the same thread.
  final class Held implements AutoCloseable {
    private final Deque<String> names = new ArrayDeque<>();

    @Override
    public void close() {
      while (!names.isEmpty()) {
        release(names.pop(), true);
      }
    }
  }

  Held lock(Collection<String> names) throws InterruptedException {
    Held held = new Held();
    try {
      for (String name : new TreeSet<>(names)) {
        Counted counted;
        synchronized (locks) {
          counted = locks.computeIfAbsent(name, _ -> new Counted());
          counted.users++;
        }
        try {
          counted.lock.lockInterruptibly();
        } catch (InterruptedException e) {
          release(name, false);
          throw e;
        }
        held.names.push(name);
      }
      return held;
    } catch (InterruptedException e) {
      held.close();
      throw e;
    }
  }

  private void release(String name, boolean locked) {
    synchronized (locks) {
      Counted counted = Objects.requireNonNull(locks.get(name));
      if (locked) {
        counted.lock.unlock();
      }
      if (--counted.users == 0) {
        locks.remove(name);
      }
    }
  }
}
