package dev.sluice.loadtest.traffic;

import dev.sluice.proto.inference.ModelMetadataResponse.TensorMetadata;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// One input of the model under test and the shape that requests give it; -1 marks a dimension that is still open.
///
/// @param declared the model's own shape
/// @param wanted the same with `batch` and the asked shape filled in
record InputForm(String name, Datatype datatype, List<Long> declared, List<Long> wanted) {
  private static final long OPEN = -1;

  /// One input may hold this many bytes: gRPC messages end at 2 GiB, and a load test keeps dozens of them.
  static final long BYTES_MAX = 256L << 20;

  /// A leading free dimension becomes `batch`. The asked shape says the other dimensions, or all of them.
  static InputForm of(TensorMetadata input, int batch, @Nullable List<Long> asked) {
    List<Long> declared = input.getShapeList();
    boolean batched = !declared.isEmpty() && declared.getFirst() < 0;
    List<Long> wanted = asked == null ? declared : asked;
    if (batched && (asked == null || asked.size() == declared.size() - 1)) {
      List<Long> rest = asked == null ? declared.subList(1, declared.size()) : asked;
      wanted = IntStream.range(0, declared.size())
          .mapToObj(i -> i == 0 ? Long.valueOf(batch) : rest.get(i - 1))
          .toList();
    }
    var form = new InputForm(input.getName(), Datatype.of(input.getName(), input.getDatatype()), declared, wanted);
    if (!form.admits(wanted)) {
      throw new InvalidTrafficException("shape %s does not fit input '%s': the model declares %s%s"
          .formatted(asked, form.name, declared, batched ? " (leave the leading dimension to the batch)" : ""));
    }
    form.elements(wanted.stream().filter(d -> d >= 0).toList());
    return form;
  }

  /// The shape of generated payloads: nothing may be open.
  List<Long> closedShape() {
    if (wanted.contains(OPEN)) {
      throw new InvalidTrafficException(
          "input '%s' has shape %s: dimension %d is free; expected its size, as in --shape %s:%s"
          .formatted(name, declared, wanted.indexOf(OPEN), name, wanted.stream()
              .skip(declared.getFirst() < 0 ? 1 : 0)
              .map(dimension -> dimension < 0 ? "8" : "" + dimension)
              .collect(Collectors.joining(","))));
    }
    return wanted;
  }

  /// The shape that `count` elements have when the payload itself does not say one, or null when they fit none.
  @Nullable List<Long> shapeFor(long count) {
    // A single free dimension follows from the count, whatever batch was meant.
    List<Long> shape = declared.stream().filter(d -> d < 0).count() == 1 ? declared : wanted;
    long known = shape.stream().filter(d -> d >= 0).reduce(1L, Math::multiplyExact);
    long open = shape.stream().filter(d -> d < 0).count();
    if (open == 0) {
      return known == count ? shape : null;
    }
    if (open > 1 || known == 0 || count % known != 0) {
      return null;
    }
    return shape.stream().map(d -> d < 0 ? Long.valueOf(count / known) : d).toList();
  }

  /// Has that shape the declared rank and the declared fixed dimensions?
  boolean admits(List<Long> shape) {
    return shape.size() == declared.size()
        && IntStream.range(0, shape.size()).allMatch(i -> declared.get(i) < 0 || declared.get(i).equals(shape.get(i)));
  }

  long elements(List<Long> shape) {
    try {
      long elements = shape.stream().reduce(1L, Math::multiplyExact);
      if (datatype.bytesOf(elements) <= BYTES_MAX) {
        return elements;
      }
    } catch (ArithmeticException e) {
      // Beyond a long is beyond the bound.
    }
    throw new InvalidTrafficException("input '%s': shape %s of %s takes more than %d MiB; expected less"
        .formatted(name, shape, datatype, BYTES_MAX >> 20));
  }
}
