package dev.sluice.gateway.cli;

import java.math.BigDecimal;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/// Reads a share of traffic, `10%` or `0.5%`, as basis points. The sign is required: a bare 1 could mean all of it.
final class WeightText implements ITypeConverter<Integer> {
  private static final Pattern FORM = Pattern.compile("([0-9]{1,3}(?:\\.[0-9]{1,2})?) ?%");

  @Override
  public Integer convert(String text) {
    Matcher form = FORM.matcher(text);
    if (!form.matches()) {
      throw new TypeConversionException(
          "'%s' is not a weight such as 10%% or 0.5%% (at most two decimals)".formatted(text));
    }
    int basisPoints = new BigDecimal(form.group(1)).movePointRight(2).intValueExact();
    if (basisPoints > 10_000) {
      throw new TypeConversionException("'%s' is not between 0%% and 100%%".formatted(text));
    }
    return basisPoints;
  }
}
