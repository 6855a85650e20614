package dev.sluice.gateway.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.sluice.runtime.model.ExecutionSettings.Device;
import dev.sluice.runtime.model.ExecutionSettings.Threads;
import dev.sluice.runtime.onnx.OnnxOptions;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

class BackendConfigTest {
  @Test
  void nothingSaidIsTheDefault() {
    assertThat(BackendConfig.of(List.of()).onnxOptions(Device.CPU)).isEqualTo(OnnxOptions.defaults());
    assertThat(BackendConfig.of(List.of()).defaultMaxBatchSize()).isEmpty();
  }

  @Test
  void tritonsFlagsAreUnderstoodTogether() {
    BackendConfig config =
        BackendConfig.of(
            List.of(
                "onnxruntime,enable-global-threadpool=1",
                "onnxruntime,intra_op_thread_count=4",
                "onnxruntime,inter_op_thread_count=0",
                "onnxruntime,default-max-batch-size=16",
                "tensorflow,version=2",
                ",default-max-batch-size=3"));
    assertThat(config.defaultMaxBatchSize()).hasValue(16);
    assertThat(config.ignored()).containsExactly("tensorflow,version=2", ",default-max-batch-size=3");
    assertThat(config.onnxOptions(Device.AUTO))
        .isEqualTo(new OnnxOptions(Device.AUTO, true, new Threads(OptionalInt.of(4), OptionalInt.of(0), false)));
  }

  @Test
  void whatCannotBeMeantIsRefused() {
    assertRefused("onnxruntime", "'onnxruntime': expected 'onnxruntime,KEY=VALUE'");
    assertRefused(
        "onnxruntime,intra_op_threads=4",
        "'onnxruntime,intra_op_threads=4': the keys are default-max-batch-size, enable-global-threadpool,"
            + " intra_op_thread_count and inter_op_thread_count");
    assertRefused(
        "onnxruntime,intra_op_thread_count=-1",
        "'onnxruntime,intra_op_thread_count=-1': the value is no whole number of at most nine digits");
    assertRefused(
        "onnxruntime,enable-global-threadpool=2",
        "'onnxruntime,enable-global-threadpool=2': the value is neither 0 nor 1");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> BackendConfig.of(List.of("onnxruntime,intra_op_thread_count=2000")).onnxOptions(Device.CPU))
        .withMessage("backend-config: intra-op threads are 2000; expected 0 to 1024");
  }

  private static void assertRefused(String flag, String fault) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> BackendConfig.of(List.of(flag)))
        .withMessage("backend-config: " + fault);
  }
}
