package dev.sluice.gateway.inference;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.turbo.TurboFilter;
import ch.qos.logback.core.spi.FilterReply;
import org.jspecify.annotations.Nullable;
import org.slf4j.LoggerFactory;
import org.slf4j.Marker;

/// The process's log, turned up and down while it runs.
///
/// Triton's three switches are independent, a logger's level is one threshold: so the threshold is as low as the lowest level
/// that is on, and a filter takes out those above it that are off. More words come from Sluice's own classes only: at those
/// levels the libraries write a line for every frame.
final class LogSwitch {

  /// @param verboseLevel unsigned; 1: debugging, 2 and more: everything
  record Settings(boolean info, boolean warning, boolean error, int verboseLevel) {}

  private final LoggerContext context;
  private final Filter filter = new Filter();

  LogSwitch() {
    this((LoggerContext) LoggerFactory.getILoggerFactory());
  }

  LogSwitch(LoggerContext context) {
    this.context = context;
  }

  synchronized Settings read() {
    Logger root = context.getLogger(org.slf4j.Logger.ROOT_LOGGER_NAME);
    Logger own = context.getLogger("dev.sluice");
    int verbose = own.isTraceEnabled() ? 2 : own.isDebugEnabled() ? 1 : 0;
    Settings off = filter.off;
    return new Settings(
        root.isInfoEnabled() && !off.info(),
        root.isWarnEnabled() && !off.warning(),
        root.isErrorEnabled() && !off.error(),
        verbose == 0 || filter.verboseLevel == 0 ? verbose : filter.verboseLevel);
  }

  synchronized void write(Settings settings) {
    filter.off = new Settings(!settings.info(), !settings.warning(), !settings.error(), 0);
    filter.verboseLevel = settings.verboseLevel();
    if (!context.getTurboFilterList().contains(filter)) {
      context.addTurboFilter(filter);
    }
    Level threshold =
        settings.info() ? Level.INFO : settings.warning() ? Level.WARN : settings.error() ? Level.ERROR : Level.OFF;
    context.getLogger(org.slf4j.Logger.ROOT_LOGGER_NAME).setLevel(threshold);
    context
        .getLogger("dev.sluice")
        .setLevel(
            switch (settings.verboseLevel()) {
              case 0 -> null; // as the rest
              case 1 -> Level.DEBUG;
              default -> Level.TRACE;
            });
  }

  private static final class Filter extends TurboFilter {
    private volatile Settings off = new Settings(false, false, false, 0);
    private volatile int verboseLevel;

    @Override
    public FilterReply decide(
        @Nullable Marker marker,
        Logger logger,
        Level level,
        @Nullable String format,
        Object @Nullable [] params,
        @Nullable Throwable t) {
      Settings now = off;
      boolean denied =
          switch (level.toInt()) {
            case Level.INFO_INT -> now.info();
            case Level.WARN_INT -> now.warning();
            case Level.ERROR_INT -> now.error();
            default -> false;
          };
      return denied ? FilterReply.DENY : FilterReply.NEUTRAL;
    }
  }
}
