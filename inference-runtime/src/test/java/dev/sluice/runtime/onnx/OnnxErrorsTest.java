package dev.sluice.runtime.onnx;

import static org.assertj.core.api.Assertions.assertThat;

import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtException.OrtErrorCode;
import dev.sluice.runtime.onnx.OnnxErrors.Meaning;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class OnnxErrorsTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "Non-zero status code returned while running Expand node. Name:'' Status Message: bfc_arena.cc:359 "
            + "Failed to allocate memory for requested buffer of size 4398046511104",
        "BFCArena::AllocateRawInternal Available memory of 1048576 is smaller than requested bytes of 4194304",
        "CUDA failure 2: out of memory ; GPU=0 ; hostname=h ; file=cuda_allocator.cc ; line=48 ; expr=cudaMalloc((void**)&p, size);",
        "CUDA error 2 in cudaMalloc",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&cublas_handle_);",
        "CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED ; GPU=0",
        "std::bad_alloc"
      })
  void aMessageOfMissingMemoryIsUnderstood(String message) {
    assertThat(OnnxErrors.meaning(message)).isEqualTo(Meaning.OUT_OF_MEMORY);
  }

  @ParameterizedTest
  @ValueSource(ints = {46, 201, 214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999})
  void afterSomeCudaFailuresTheDeviceIsLost(int number) {
    String message = "CUDA failure %d: whatever it says ; GPU=0 ; hostname=h ; expr=cudaStreamSynchronize(s);";
    assertThat(OnnxErrors.meaning(message.formatted(number))).isEqualTo(Meaning.DEVICE_LOST);
    assertThat(OnnxErrors.meaning("Failed to allocate memory for requested buffer of size 1; " + message.formatted(number)))
        .isEqualTo(Meaning.DEVICE_LOST);
    assertThat(OnnxErrors.meaning("CUDA failure 2: out of memory, then " + message.formatted(number)))
        .isEqualTo(Meaning.DEVICE_LOST);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "CUDA failure 1: invalid argument ; GPU=0",
        "CUDA failure 7000000000: no such number",
        "CUDA failure 70: no such number",
        "indices element out of data bounds, idx=700 must be within the inclusive range [-3,2]",
        "Calculation for Tensor storage size overflowed",
        ""
      })
  void anythingElseIsTheModelsFailure(String message) {
    assertThat(OnnxErrors.meaning(message)).isEqualTo(Meaning.FAILED);
  }

  @Test
  void aLongMessageIsReadToItsEndAndTellsOnlyItsBeginning() {
    OrtException e = new OrtException(OrtErrorCode.ORT_FAIL, "x".repeat(1000) + " CUDA failure 719: launch failure");
    assertThat(OnnxErrors.meaning(e)).isEqualTo(Meaning.DEVICE_LOST);
    assertThat(OnnxErrors.numbered(e)).isEqualTo("onnx runtime error 1: " + "x".repeat(500) + "...");
  }

  @Test
  void aDeviceThatWasResetIsLost() {
    assertThat(OnnxErrors.meaning(new OrtException(OrtErrorCode.ORT_DEVICE_RESET, "the device was reset")))
        .isEqualTo(Meaning.DEVICE_LOST);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "ORT_EP_FAIL | Failed to find CUDA shared provider | this build of ONNX Runtime is for the CPU only (onnx runtime error 11",
        "ORT_FAIL | provider_bridge_ort.cc:1988 Get() Failed to load library /n/libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: cannot open shared object file: No such file or directory | the library 'libcublasLt.so.12' is missing (onnx runtime error 1",
        "ORT_FAIL | Failed to load library /n/libonnxruntime_providers_cuda.so with error: libcuda.so.1: cannot open shared object file | the NVIDIA driver's library 'libcuda.so.1' is missing (onnx runtime error 1",
        "ORT_FAIL | CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=0 | there is no NVIDIA driver, or it is too old for the CUDA libraries (onnx runtime error 1",
        "ORT_FAIL | CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 | no GPU is visible to this process (onnx runtime error 1",
        "ORT_FAIL | CUDA failure 101: invalid device ordinal ; GPU=7 | there is no GPU of this number (onnx runtime error 1",
        "ORT_FAIL | Invalid device ID: 7, must be between 0 (inclusive) and 1 (exclusive). | there is no GPU of this number (onnx runtime error 1",
        "ORT_FAIL | CUDA failure 2: out of memory ; GPU=0 | its memory does not suffice (onnx runtime error 1",
        "ORT_RUNTIME_EXCEPTION | CUDA failure 719: unspecified launch failure | it is out of order (onnx runtime error 6",
        "ORT_INVALID_ARGUMENT | something else | ONNX Runtime could not (onnx runtime error 2",
      })
  void whyThereIsNoGpuIsSaidInOurWordsAndInTheirs(OrtErrorCode code, String message, String start) {
    assertThat(OnnxErrors.whyNoGpu(new OrtException(code, message))).isEqualTo("%s: %s)", start, message);
  }

  @ParameterizedTest
  @CsvSource({
    "1, ORT_FAIL", "2, ORT_INVALID_ARGUMENT", "6, ORT_RUNTIME_EXCEPTION", "9, ORT_NOT_IMPLEMENTED", "11, ORT_EP_FAIL",
    "15, ORT_DEVICE_RESET", "-1, ORT_JAVA_UNKNOWN"
  })
  void errorsAreNumberedAsTritonNumbersThem(int number, OrtErrorCode code) {
    assertThat(OnnxErrors.numbered(new OrtException(code, "bad\n  shape "))).isEqualTo(
        "onnx runtime error %d: bad shape".formatted(number));
  }
}
