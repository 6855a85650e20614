package dev.sluice.gateway.http;

import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// What a path asks for.
///
/// `version` is the path's own word, a number or a label, and empty when the path names none.
sealed interface Resource {

  record ServerMetadata() implements Resource {}

  record Live() implements Resource {}

  record Ready() implements Resource {}

  record ModelMetadata(String model, String version) implements Resource {}

  record ModelReady(String model, String version) implements Resource {}

  record Configuration(String model, String version) implements Resource {}

  /// @param model empty for all of them
  record Statistics(String model, String version) implements Resource {}

  record Infer(String model, String version) implements Resource {}

  record Index(String repository) implements Resource {}

  record Load(String repository, String model) implements Resource {}

  record Unload(String repository, String model) implements Resource {}

  /// @param model empty for the server's own
  record TraceSetting(String model) implements Resource {}

  record Logging() implements Resource {}

  enum Memory {
    SYSTEM("system"),
    CUDA("cuda");

    private final String word;

    Memory(String word) {
      this.word = word;
    }

    String word() {
      return word;
    }
  }

  /// @param region empty for all of them
  record SharedMemoryStatus(Memory memory, String region) implements Resource {}

  record SharedMemoryRegister(Memory memory, String region) implements Resource {}

  record SharedMemoryUnregister(Memory memory, String region) implements Resource {}

  List<String> READ = List.of("GET", "HEAD");
  List<String> WRITE = List.of("POST");
  List<String> READ_AND_WRITE = List.of("GET", "HEAD", "POST");

  /// The methods that the resource answers to.
  default List<String> methods() {
    return switch (this) {
      case ServerMetadata _, Live _, Ready _, ModelMetadata _, ModelReady _, Configuration _, Statistics _ -> READ;
      case SharedMemoryStatus _ -> READ;
      case Infer _, Index _, Load _, Unload _, SharedMemoryRegister _, SharedMemoryUnregister _ -> WRITE;
      case TraceSetting _, Logging _ -> READ_AND_WRITE;
    };
  }

  /// Whether the answer takes as long as a model's load, or a look at the whole repository.
  default boolean isSlow() {
    return this instanceof Index || this instanceof Load || this instanceof Unload;
  }

  /// @param path decoded; null is answered to a path that leads nowhere
  static @Nullable Resource at(String path) {
    List<String> words = Arrays.asList(path.split("/", -1));
    if (words.size() < 2 || !words.get(0).isEmpty() || !words.get(1).equals("v2")) {
      return null;
    }
    if (words.size() == 2) {
      return new ServerMetadata();
    }
    List<String> rest = words.subList(3, words.size());
    return switch (words.get(2)) {
      case "health" -> health(rest);
      case "models" -> models(rest);
      case "repository" -> repository(rest);
      case "trace" -> rest.equals(List.of("setting")) ? new TraceSetting("") : null;
      case "logging" -> rest.isEmpty() ? new Logging() : null;
      case "systemsharedmemory" -> sharedMemory(Memory.SYSTEM, rest);
      case "cudasharedmemory" -> sharedMemory(Memory.CUDA, rest);
      default -> null;
    };
  }

  private static @Nullable Resource health(List<String> rest) {
    if (rest.size() != 1) {
      return null;
    }
    return switch (rest.getFirst()) {
      case "live" -> new Live();
      case "ready" -> new Ready();
      default -> null;
    };
  }

  private static @Nullable Resource models(List<String> rest) {
    if (rest.isEmpty() || rest.getFirst().isEmpty()) {
      return null;
    }
    // Before the models: one of the name `stats` has its metadata behind `/versions/...` only, as with Triton.
    if (rest.equals(List.of("stats"))) {
      return new Statistics("", "");
    }
    String model = rest.getFirst();
    boolean versioned = rest.size() >= 3 && rest.get(1).equals("versions") && !rest.get(2).isEmpty();
    String version = versioned ? rest.get(2) : "";
    List<String> question = rest.subList(versioned ? 3 : 1, rest.size());
    if (question.isEmpty()) {
      return new ModelMetadata(model, version);
    }
    if (question.equals(List.of("trace", "setting"))) {
      return versioned ? null : new TraceSetting(model);
    }
    if (question.size() != 1) {
      return null;
    }
    return switch (question.getFirst()) {
      case "infer" -> new Infer(model, version);
      case "ready" -> new ModelReady(model, version);
      case "config" -> new Configuration(model, version);
      case "stats" -> new Statistics(model, version);
      default -> null;
    };
  }

  /// `[<repository>/]index` and `[<repository>/]models/<model>/load|unload`.
  private static @Nullable Resource repository(List<String> rest) {
    int size = rest.size();
    if ((size == 1 || size == 2) && rest.getLast().equals("index")) {
      return new Index(size == 1 ? "" : rest.getFirst());
    }
    if ((size == 3 || size == 4) && rest.get(size - 3).equals("models") && !rest.get(size - 2).isEmpty()) {
      String repository = size == 3 ? "" : rest.getFirst();
      return switch (rest.getLast()) {
        case "load" -> new Load(repository, rest.get(size - 2));
        case "unload" -> new Unload(repository, rest.get(size - 2));
        default -> null;
      };
    }
    return null;
  }

  private static @Nullable Resource sharedMemory(Memory memory, List<String> rest) {
    boolean named = rest.size() == 3 && rest.getFirst().equals("region") && !rest.get(1).isEmpty();
    if (rest.size() != 1 && !named) {
      return null;
    }
    String region = named ? rest.get(1) : "";
    return switch (rest.getLast()) {
      case "status" -> new SharedMemoryStatus(memory, region);
      case "register" -> new SharedMemoryRegister(memory, region);
      case "unregister" -> new SharedMemoryUnregister(memory, region);
      default -> null;
    };
  }
}
