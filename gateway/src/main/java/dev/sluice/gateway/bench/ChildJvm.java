package dev.sluice.gateway.bench;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// A process of its own with this one's JVM, JVM options and class path, asked over its standard input and answering
/// over its standard output, a line each. It ends when its input ends, so none outlives the bench.
final class ChildJvm implements AutoCloseable {
  private static final int LOG_LINES_SHOWN = 10;

  /// The longest question is for many rollouts.
  private static final Duration ANSWER_WITHIN = Duration.ofMinutes(5);

  private final String name;
  private final Process process;
  private final PrintWriter questions;
  private final BufferedReader answers;
  private final Path log;
  private final int[] ports;

  /// Started, and ready when this returns.
  ///
  /// @param folder for the child's log and its arguments
  /// @param before what stands before `java`, such as `taskset`
  ChildJvm(String name, Path folder, List<String> before, Class<?> main, List<String> arguments) throws IOException {
    this.name = name;
    this.log = folder.resolve(name + ".log");
    List<String> command = new ArrayList<>(before);
    command.addAll(javaCommand(folder));
    command.add(main.getName());
    command.addAll(arguments);
    this.process = new ProcessBuilder(command).redirectError(log.toFile()).start();
    this.questions = new PrintWriter(process.outputWriter(UTF_8), true);
    this.answers = new BufferedReader(new InputStreamReader(process.getInputStream(), UTF_8));
    this.ports = Stream.of(await("ready")).skip(1).mapToInt(Integer::parseInt).toArray();
  }

  /// The ports that it said it listens on.
  int port(int index) {
    return ports[index];
  }

  /// `java` as this process was started. By an argument file, because ONNX Runtime's Java binding ends the JVM when the
  /// command line is longer than about 4 kB, and a class path is.
  static List<String> javaCommand(Path folder) throws IOException {
    Path file = folder.resolve("java.args");
    if (!Files.exists(file)) {
      List<String> options = new ArrayList<>(ManagementFactory.getRuntimeMXBean().getInputArguments());
      options.removeIf(option -> option.startsWith("-agentlib:jdwp") || option.startsWith("-javaagent"));
      options.add("-cp");
      options.add(System.getProperty("java.class.path"));
      Files.write(file, options.stream().map(ChildJvm::quoted).toList());
    }
    return List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "@" + file);
  }

  private static String quoted(String option) {
    return '"' + option.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
  }

  /// The words of the child's next line, which has to begin with the one expected.
  private String[] await(String word) throws IOException {
    var answered = new CompletableFuture<@Nullable Void>();
    var _ = answered.orTimeout(ANSWER_WITHIN.toSeconds(), TimeUnit.SECONDS).whenComplete((_, late) -> {
      if (late != null) {
        process.destroyForcibly(); // Its output ends, and so does the wait below.
      }
    });
    String line = answers.readLine();
    answered.complete(null);
    if (line == null || !line.startsWith(word)) {
      throw new IOException("contender '%s' said %s; expected '%s'%s".formatted(name, line, word, logTail()));
    }
    return line.split(" ", -1);
  }

  /// Asks and awaits the answer, which begins with the question's first word; one question at a time.
  synchronized String[] ask(String question) throws IOException {
    questions.println(question);
    return await(question.split(" ", 2)[0]);
  }

  Usage usage() throws IOException {
    String[] words = ask("usage");
    return new Usage(Long.parseLong(words[1]), Long.parseLong(words[2]), Long.parseLong(words[3]));
  }

  long pid() {
    return process.pid();
  }

  private String logTail() {
    try {
      List<String> lines = Files.readAllLines(log);
      List<String> tail = lines.subList(Math.max(0, lines.size() - LOG_LINES_SHOWN), lines.size());
      return tail.isEmpty() ? "" : ":\n" + String.join("\n", tail);
    } catch (IOException e) {
      return "";
    }
  }

  @Override
  public void close() {
    questions.close();
    try {
      if (!process.waitFor(10, TimeUnit.SECONDS)) {
        process.destroyForcibly();
      }
    } catch (InterruptedException e) {
      process.destroyForcibly();
      Thread.currentThread().interrupt();
    }
  }
}
