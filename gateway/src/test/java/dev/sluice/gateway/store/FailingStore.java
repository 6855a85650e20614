package dev.sluice.gateway.store;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/// A store that does not take the next so many changes; all else goes through to the one behind it.
public record FailingStore(Store store, AtomicInteger failures) implements Store {
  @Override
  public AuditEvent commit(Change change) throws StaleRevisionException {
    if (failures.getAndUpdate(n -> Math.max(0, n - 1)) > 0) {
      throw new StoreException("the disk is full", new IOException());
    }
    return store.commit(change);
  }

  @Override
  public AuditEvent commit(LabelChange change) {
    if (failures.getAndUpdate(n -> Math.max(0, n - 1)) > 0) {
      throw new StoreException("the disk is full", new IOException());
    }
    return store.commit(change);
  }

  @Override
  public Map<String, Map<String, Long>> labels() {
    return store.labels();
  }

  @Override
  public long revision() {
    return store.revision();
  }

  @Override
  public List<StoredRollout> rollouts() {
    return store.rollouts();
  }

  @Override
  public Map<String, Long> servingVersions() {
    return store.servingVersions();
  }

  @Override
  public List<AuditEvent> events(@Nullable String rollout, long afterRevision, int max) {
    return store.events(rollout, afterRevision, max);
  }

  @Override
  public void verify() {
    store.verify();
  }

  @Override
  public void close() {}
}
