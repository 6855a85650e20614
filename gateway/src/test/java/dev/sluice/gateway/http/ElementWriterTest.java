package dev.sluice.gateway.http;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.testing.Tensors;
import java.util.List;
import org.junit.jupiter.api.Test;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;

/// What no model of today gives, but a runtime may. The rest is held over real connections.
class ElementWriterTest {

  @Test
  void bytesThatAreNoTextAreRefusedRatherThanReplaced() {
    byte[] noText = {'a', (byte) 0xFF};
    try (JsonGenerator json = Json.FACTORY.createGenerator(ObjectWriteContext.empty(), new Blocks(1000))) {
      assertThatThrownBy(
              () ->
                  ElementWriter.write(
                      "y", Datatype.BYTES, Tensors.byteStrings("y", Shape.of(1), List.of(noText)).bytes(), json))
          .isInstanceOf(InferenceFailure.class)
          .hasMessageContaining("output 'y' has an element of 2 bytes that are not UTF-8");
    }
  }
}
