package dev.sluice.gateway.cli;

import dev.sluice.gateway.cli.Failures.InvalidInput;
import java.util.Map;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/// `name=text` on the command line; the text may contain further equals signs.
record NameAndText(String name, String text) {

  static final class Converter implements ITypeConverter<NameAndText> {
    @Override
    public NameAndText convert(String argument) {
      int equals = argument.indexOf('=');
      if (equals < 1) {
        throw new TypeConversionException("'%s' does not have the form name=value".formatted(argument));
      }
      return new NameAndText(argument.substring(0, equals), argument.substring(equals + 1));
    }
  }

  /// A name given twice is a mistake, not a choice to be made here.
  static <T> void putOnce(Map<String, T> map, String name, T value) {
    if (map.putIfAbsent(name, value) != null) {
      throw new InvalidInput("'%s' is given twice".formatted(name));
    }
  }
}
