package dev.sluice.gateway.inference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.LogSettingsRequest;
import dev.sluice.proto.inference.LogSettingsRequest.SettingValue;
import dev.sluice.proto.inference.LogSettingsResponse;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/// What is logged after a client has said what it wants to be logged: a log of this test's own, turned as the process's is.
class LogSettingsTest {

  private final LoggerContext context = new LoggerContext();
  private final ListAppender<ILoggingEvent> lines = new ListAppender<>();
  private final LogSettings settings = new LogSettings(new LogSwitch(context));

  @BeforeEach
  void start() {
    Logger root = context.getLogger(org.slf4j.Logger.ROOT_LOGGER_NAME);
    root.setLevel(Level.INFO);
    lines.setContext(context);
    lines.start();
    root.addAppender(lines);
  }

  @Test
  void theSettingsAreThoseOfTheStart() throws InferenceFailure {
    LogSettingsResponse read = settings.answer(LogSettingsRequest.getDefaultInstance());

    assertThat(read.getSettingsMap().keySet())
        .containsExactlyInAnyOrder("log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format");
    assertThat(read.getSettingsOrThrow("log_info").getBoolParam()).isTrue();
    assertThat(read.getSettingsOrThrow("log_verbose_level").getUint32Param()).isZero();
    assertThat(read.getSettingsOrThrow("log_format").getStringParam()).isEqualTo("ISO8601");
  }

  @Test
  void eachLevelIsSwitchedForItself() throws InferenceFailure {
    assertThat(logged()).containsExactly("INFO", "WARN", "ERROR");
    assertThat(loggedAfter("log_warning", flag(false))).containsExactly("INFO", "ERROR");
    assertThat(loggedAfter("log_info", flag(false))).containsExactly("ERROR");
    assertThat(loggedAfter("log_error", flag(false))).isEmpty();
    assertThat(loggedAfter("log_info", flag(true))).containsExactly("INFO");
    assertThat(loggedAfter("log_verbose_level", uint(1))).containsExactly("DEBUG", "INFO");
    assertThat(loggedAfter("log_verbose_level", uint(9))).containsExactly("TRACE", "DEBUG", "INFO");
    assertThat(read().getSettingsOrThrow("log_verbose_level").getUint32Param()).isEqualTo(9);
    assertThat(loggedAfter("log_verbose_level", uint(0))).containsExactly("INFO");
    assertThat(read().getSettingsOrThrow("log_error").getBoolParam()).isFalse();
  }

  @Test
  void verbosityIsForSluiceAlone() throws InferenceFailure {
    settings.answer(request("log_verbose_level", uint(2)));

    context.getLogger("io.grpc.Anything").debug("a frame");

    assertThat(lines.list).isEmpty();
  }

  @Test
  void whatCannotBeSetChangesNothing() throws InferenceFailure {
    LogSettingsRequest mixed =
        request("log_info", flag(false)).toBuilder().putSettings("log_file", text("/tmp/x")).build();

    assertThatThrownBy(() -> settings.answer(mixed))
        .hasMessage("log file location can not be updated through network protocol");
    assertThatThrownBy(() -> settings.answer(request("log_info", uint(1)))).hasMessage("expect boolean for 'log_info'");
    assertThatThrownBy(() -> settings.answer(request("log_verbose_level", flag(true))))
        .hasMessage("expect int32 for 'log_verbose_level'");
    assertThatThrownBy(() -> settings.answer(request("log_format", text("purple"))))
        .hasMessageStartingWith("invalid argument for log_format, got: 'purple'");
    assertThatThrownBy(() -> settings.answer(request("log_format", text("default"))))
        .hasMessageContaining("'default' is not offered");
    assertThatThrownBy(() -> settings.answer(request("colour", text("red"))))
        .hasMessageContaining("unknown log setting 'colour'");
    assertThat(logged()).containsExactly("INFO", "WARN", "ERROR");
  }

  private LogSettingsResponse read() throws InferenceFailure {
    return settings.answer(LogSettingsRequest.getDefaultInstance());
  }

  private List<String> loggedAfter(String name, SettingValue value) throws InferenceFailure {
    settings.answer(request(name, value));
    return logged();
  }

  private List<String> logged() {
    lines.list.clear();
    Logger logger = context.getLogger("dev.sluice.gateway.Anything");
    logger.trace("a word");
    logger.debug("a word");
    logger.info("a word");
    logger.warn("a word");
    logger.error("a word");
    return lines.list.stream().map(event -> event.getLevel().toString()).toList();
  }

  private static LogSettingsRequest request(String name, SettingValue value) {
    return LogSettingsRequest.newBuilder().putSettings(name, value).build();
  }

  private static SettingValue flag(boolean value) {
    return SettingValue.newBuilder().setBoolParam(value).build();
  }

  private static SettingValue uint(int value) {
    return SettingValue.newBuilder().setUint32Param(value).build();
  }

  private static SettingValue text(String value) {
    return SettingValue.newBuilder().setStringParam(value).build();
  }
}
