package dev.sluice.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ThreadFactory;
import org.junit.jupiter.api.Test;

class PromptThreadsTest {
  private final ThreadFactory ordinary = Thread.ofPlatform().daemon().name("prompt-threads-test").factory();
  private final ThreadFactory prompt = LinuxCalls.prompt(ordinary);

  @Test
  void aPromptThreadHasAShorterSliceThanTheOneThatStartedIt() {
    long own = LinuxCalls.sliceNanosOfThisThread();
    assumeThat(own).as("the scheduler has slices and tells them").isPositive();

    assertThat(sliceOf(prompt)).isEqualTo(LinuxCalls.PROMPT_SLICE_NANOS).isLessThan(own);
  }

  /// Threads that compute are started by those that bring requests.
  @Test
  void aThreadThatAPromptThreadStartsIsAnOrdinaryOne() {
    long own = LinuxCalls.sliceNanosOfThisThread();
    assumeThat(own).as("the scheduler has slices and tells them").isPositive();

    CompletableFuture<Long> child = new CompletableFuture<>();
    prompt.newThread(() -> child.complete(sliceOf(ordinary))).start();

    assertThat(child.join()).isEqualTo(own);
  }

  @Test
  void aPromptThreadDoesItsTaskWhateverTheSystemSays() {
    CompletableFuture<String> name = new CompletableFuture<>();
    prompt.newThread(() -> name.complete(Thread.currentThread().getName())).start();

    assertThat(name.join()).isEqualTo("prompt-threads-test");
  }

  private static long sliceOf(ThreadFactory threads) {
    CompletableFuture<Long> slice = new CompletableFuture<>();
    threads.newThread(() -> slice.complete(LinuxCalls.sliceNanosOfThisThread())).start();
    return slice.join();
  }
}
