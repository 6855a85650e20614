package dev.sluice.gateway.cli;

import dev.sluice.gateway.config.ModelControl;
import dev.sluice.runtime.repository.ControlMode;
import dev.sluice.runtime.repository.RepositoryOptions;
import java.time.Duration;
import java.util.List;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/// Which models are loaded and when, with Triton's names for the choices.
final class ModelControlOptions {

  @Option(
      names = "--model-control-mode",
      defaultValue = "none",
      converter = ModeText.class,
      paramLabel = "MODE",
      description = {
        "none: load every model at the start; poll: and follow changes of the repository; explicit: load and unload as",
        "callers ask (default: ${DEFAULT-VALUE})."
      })
  private ControlMode mode = ControlMode.NONE;

  @Option(
      names = "--repository-poll-secs",
      defaultValue = "" + ModelControl.POLL_SECONDS,
      paramLabel = "N",
      description = "With poll: how often to look at the repository (default: ${DEFAULT-VALUE}).")
  private int pollSeconds;

  @Option(
      names = "--load-model",
      paramLabel = "NAME",
      description = "With explicit: load this model at the start; '*': all of them. May be repeated.")
  private List<String> loadAtStart = List.of();

  @Option(
      names = "--strict-readiness",
      arity = "0..1",
      defaultValue = "true",
      fallbackValue = "true",
      paramLabel = "BOOL",
      description = "Ready only while every model that was asked for can answer (default: ${DEFAULT-VALUE}).")
  private boolean strictReadiness;

  @Option(
      names = "--exit-on-error",
      arity = "0..1",
      defaultValue = "false",
      fallbackValue = "true",
      paramLabel = "BOOL",
      description = "Do not start when a model does not load (default: ${DEFAULT-VALUE}).")
  private boolean exitOnError;

  @Option(
      names = "--model-load-thread-count",
      defaultValue = "" + RepositoryOptions.LOAD_THREADS,
      paramLabel = "N",
      description = "Models loaded at the same time (default: ${DEFAULT-VALUE}).")
  private int loadThreads;

  static final class ModeText implements ITypeConverter<ControlMode> {
    @Override
    public ControlMode convert(String text) {
      return switch (text) {
        case "none" -> ControlMode.NONE;
        case "poll" -> ControlMode.POLL;
        case "explicit" -> ControlMode.EXPLICIT;
        default -> throw new TypeConversionException("'%s' is not a mode: expected none, poll or explicit".formatted(text));
      };
    }
  }

  ModelControl value() {
    return new ModelControl(
        mode, Duration.ofSeconds(pollSeconds), loadAtStart, strictReadiness, exitOnError, loadThreads);
  }
}
