package dev.sluice.gateway.testing;

import dev.sluice.runtime.model.DeviceUse;
import dev.sluice.runtime.model.ModelExecutionException;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.ModelRuntime;
import dev.sluice.runtime.model.ModelSettings;
import dev.sluice.runtime.model.RunControl;
import dev.sluice.runtime.model.Session;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.onnx.OnnxRuntime;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/// ONNX Runtime, with a hand in the runs of single versions: for faults that no model can be made to have.
public final class TamperedRuntime implements ModelRuntime {

  /// What happens in place of a run.
  @FunctionalInterface
  public interface Run {
    List<Tensor> run(Session real, List<Tensor> inputs, List<String> outputs, RunControl control)
        throws ModelExecutionException;
  }

  private final ModelRuntime real = new OnnxRuntime();
  private final Map<String, Run> runs = new ConcurrentHashMap<>();

  /// From now on, runs of this version go this way.
  public void tamper(long version, Run run) {
    runs.put(Long.toString(version), run);
  }

  public void leaveAlone(long version) {
    runs.remove(Long.toString(version));
  }

  @Override
  public Session load(Path versionFolder, ModelSettings settings) throws ModelLoadException {
    return new TamperedSession(real.load(versionFolder, settings), versionFolder.getFileName().toString());
  }

  private final class TamperedSession implements Session {
    private final Session session;
    private final String version;

    private TamperedSession(Session session, String version) {
      this.session = session;
      this.version = version;
    }

    @Override
    public Signature signature() {
      return session.signature();
    }

    @Override
    public List<Tensor> run(List<Tensor> inputs, List<String> outputs, RunControl control)
        throws ModelExecutionException {
      Run run = runs.get(version);
      return run == null ? session.run(inputs, outputs, control) : run.run(session, inputs, outputs, control);
    }

    @Override
    public DeviceUse devices() {
      return session.devices();
    }

    @Override
    public void close() {
      session.close();
    }
  }
}
