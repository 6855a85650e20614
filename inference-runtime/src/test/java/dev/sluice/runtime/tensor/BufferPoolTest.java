package dev.sluice.runtime.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BufferPoolTest {
  @ParameterizedTest
  @CsvSource({"0, 256", "1, 256", "256, 256", "257, 512", "65537, 131072", "4194305, 8388608", "67108864, 67108864", "67108865, 67108865"})
  void sizesAreRoundedUpToPowersOfTwoAsFarAsThePoolGoes(int size, int capacity) {
    ByteBuffer buffer = new BufferPool().take(size);
    assertThat(buffer.capacity()).isEqualTo(capacity);
    assertThat(buffer.isDirect()).isTrue();
    assertThat(buffer.order()).isEqualTo(ByteOrder.LITTLE_ENDIAN);
  }

  @Test
  void aBufferInUseIsNeverGivenTwice() {
    BufferPool pool = new BufferPool();
    ByteBuffer first = pool.take(300);
    assertThat(pool.take(300)).isNotSameAs(first);
    pool.give(first);
    assertThat(pool.take(400)).isSameAs(first);
    assertThat(pool.take(400)).isNotSameAs(first);
  }

  @ParameterizedTest
  @CsvSource({"256, 64", "65536, 64", "1048576, 4", "4194304, 2", "8388608, 1", "134217728, 0"})
  void aFullShelfDropsWhatItIsGiven(int size, int kept) {
    BufferPool pool = new BufferPool();
    List<ByteBuffer> given = new ArrayList<>();
    for (int i = 0; i < kept + 3; i++) {
      given.add(pool.take(size));
    }
    given.forEach(pool::give);
    Set<ByteBuffer> known = Collections.newSetFromMap(new IdentityHashMap<>());
    known.addAll(given);
    int seenAgain = 0;
    for (int i = 0; i < kept + 3; i++) {
      seenAgain += known.contains(pool.take(size)) ? 1 : 0;
    }
    assertThat(seenAgain).isEqualTo(kept);
  }
}
