package dev.sluice.runtime.onnx;

import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtException.OrtErrorCode;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// What ONNX Runtime's errors mean. It has few codes, so most of the meaning is in the words of its messages.
final class OnnxErrors {
  private static final int MESSAGE_LENGTH_MAX = 500;
  /// More than ONNX Runtime has.
  private static final int CODES_MAX = 64;

  /// What is to be done about a run that failed.
  enum Meaning {
    /// Nothing: the model cannot compute this input.
    FAILED,
    /// Less at a time, or later: there was no memory for it.
    OUT_OF_MEMORY,
    /// Nothing works on that GPU any more, in this process.
    DEVICE_LOST
  }

  /// A file of C++ with its line, and the function there with all its parameters.
  private static final Pattern SOURCE_PLACE = Pattern.compile(" ?/onnxruntime_src/\\S+:\\d+ [^()]*\\(.*?\\)(?: const)? ");

  private static final Pattern OUT_OF_MEMORY =
      Pattern.compile(
          "Failed to allocate memory for requested buffer"
              + "|Available memory of \\d+ is smaller than requested bytes"
              + "|CU(?:BLAS|DNN|SPARSE|RAND|FFT)_STATUS_ALLOC_FAILED|CUBLAS failure 3:|CUFFT_ALLOC_FAILED"
              + "|bad_alloc|bad allocation");
  private static final Pattern CUDA_FAILURE = Pattern.compile("CUDA (?:failure|error) (\\d+)");
  private static final int CUDA_OUT_OF_MEMORY = 2;
  /// After these the CUDA context of the process is dead: each later call fails, whatever it asks.
  private static final Set<Integer> CUDA_LOST =
      Set.of(
          46, // all devices busy or unavailable
          201, // invalid context
          214, // uncorrectable memory error
          220, // uncorrectable error of a link between GPUs
          700, // illegal address
          702, // a kernel ran into the display's time limit
          709, // the context is destroyed
          710, // a kernel's assertion failed
          714, 715, 716, 717, 718, 719, // faults of a kernel: stack, instruction, address, space, counter, other
          999); // unknown

  private static final int CUDA_DRIVER_TOO_OLD = 35;
  private static final int CUDA_NO_DEVICE = 100;
  private static final int CUDA_NO_SUCH_DEVICE = 101;
  private static final Pattern MISSING_LIBRARY =
      Pattern.compile("(lib[\\w.+-]+\\.so[.\\d]*): cannot open shared object file");

  private OnnxErrors() {}

  static Meaning meaning(OrtException e) {
    return e.getCode() == OrtErrorCode.ORT_DEVICE_RESET ? Meaning.DEVICE_LOST : meaning(textOf(e));
  }

  /// The meaning of a message; one that tells of a lost device is that, whatever else it says.
  static Meaning meaning(String message) {
    Meaning meaning = OUT_OF_MEMORY.matcher(message).find() ? Meaning.OUT_OF_MEMORY : Meaning.FAILED;
    Matcher failure = CUDA_FAILURE.matcher(message);
    while (failure.find()) {
      int number = number(failure);
      if (CUDA_LOST.contains(number)) {
        return Meaning.DEVICE_LOST;
      }
      if (number == CUDA_OUT_OF_MEMORY) {
        meaning = Meaning.OUT_OF_MEMORY;
      }
    }
    return meaning;
  }

  /// Why no session could be opened on a GPU: the cause in our words where we know it, and ONNX Runtime's own.
  static String whyNoGpu(OrtException e) {
    return "%s (%s)".formatted(causeOfNoGpu(textOf(e)), numbered(e));
  }

  private static String causeOfNoGpu(String message) {
    Matcher library = MISSING_LIBRARY.matcher(message);
    if (library.find()) {
      return library.group(1).startsWith("libcuda.so")
          ? "the NVIDIA driver's library '%s' is missing".formatted(library.group(1))
          : "the library '%s' is missing".formatted(library.group(1));
    }
    if (message.contains("Failed to find CUDA shared provider")) {
      return "this build of ONNX Runtime is for the CPU only";
    }
    if (message.contains("Invalid device ID: ")) {
      return "there is no GPU of this number";
    }
    Matcher failure = CUDA_FAILURE.matcher(message);
    if (failure.find()) {
      switch (number(failure)) {
        case CUDA_DRIVER_TOO_OLD -> {
          return "there is no NVIDIA driver, or it is too old for the CUDA libraries";
        }
        case CUDA_NO_DEVICE -> {
          return "no GPU is visible to this process";
        }
        case CUDA_NO_SUCH_DEVICE -> {
          return "there is no GPU of this number";
        }
        default -> {
          // Told below.
        }
      }
    }
    return switch (meaning(message)) {
      case OUT_OF_MEMORY -> "its memory does not suffice";
      case DEVICE_LOST -> "it is out of order";
      case FAILED -> "ONNX Runtime could not";
    };
  }

  /// In the form that Triton gives its callers: `onnx runtime error 2: message`.
  static String numbered(OrtException e) {
    return "onnx runtime error %d: %s".formatted(number(e.getCode()), messageOf(e));
  }

  /// The message on one line, without the prefix that repeats its code and the places in its sources, which would leave
  /// no room for the fault itself.
  static String textOf(OrtException e) {
    String message = e.getMessage() == null ? e.getCode().toString() : e.getMessage();
    int start = message.indexOf("message: ");
    String fault = start < 0 ? message : message.substring(start + "message: ".length());
    return SOURCE_PLACE.matcher(fault.strip().replaceAll("\\s+", " ")).replaceAll(" ").strip();
  }

  /// The same, no longer than a reader can bear.
  static String messageOf(OrtException e) {
    return clipped(textOf(e));
  }

  static String clipped(String text) {
    return text.length() > MESSAGE_LENGTH_MAX ? text.substring(0, MESSAGE_LENGTH_MAX) + "..." : text;
  }

  // The binding knows which code a number is, and not which number a code is.
  private static int number(OrtErrorCode code) {
    for (int number = 0; number < CODES_MAX; number++) {
      if (code != OrtErrorCode.ORT_JAVA_UNKNOWN && OrtErrorCode.mapFromInt(number) == code) {
        return number;
      }
    }
    return -1;
  }

  // At most what an int holds: a longer row of digits is no number of CUDA's.
  private static int number(Matcher failure) {
    return failure.group(1).length() > 6 ? -1 : Integer.parseInt(failure.group(1));
  }
}
