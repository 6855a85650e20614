package dev.sluice.runtime.batching;

import dev.sluice.runtime.model.RunControl;
import java.util.List;

/// One run of the model for one or more requests; it is stopped when the last of their callers has gone.
final class BatchRun {
  final RunControl control = RunControl.create();
  final List<QueuedRequest> requests;

  /// Callers that still wait. Guarded by the queue's lock.
  int callers;

  BatchRun(List<QueuedRequest> requests) {
    this.requests = requests;
    this.callers = requests.size();
  }

  long rows() {
    long rows = 0;
    for (int i = 0; i < requests.size(); i++) {
      rows += requests.get(i).rows();
    }
    return rows;
  }
}
