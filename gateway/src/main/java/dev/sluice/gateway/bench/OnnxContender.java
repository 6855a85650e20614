package dev.sluice.gateway.bench;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;

/// Bare ONNX Runtime, run by its own process in a loop. It has no callers, so the load is left aside.
///
/// @param threads that run the session, each as fast as it can
/// @param rows of each run; a round's requests are rows
record OnnxContender(ChildJvm process, Path repository, int threads, int rows) implements Contender {

  @Override
  public String name() {
    return "ONNX Runtime" + (threads == 1 ? "" : ", %d threads".formatted(threads))
        + (rows == 1 ? "" : ", %d rows".formatted(rows));
  }

  OnnxContender with(int otherThreads, int otherRows) {
    return new OnnxContender(process, repository, otherThreads, otherRows);
  }

  @Override
  public Round round(BenchModel model, Load load, Duration lead, Duration measured) throws IOException {
    if (!lead.isZero()) {
      run(model, lead);
    }
    return run(model, measured);
  }

  private Round run(BenchModel model, Duration time) throws IOException {
    return Round.parse(process.ask("run %s %d %d %d %d %d".formatted(
        BenchModel.file(repository, model, 1), model.inputColumns(), model.outputColumns(), rows, threads,
        time.toMillis())));
  }
}
