package dev.sluice.gateway.inference;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/// The heads of requests that were accepted lately, at most 1,024 of at most 2 KiB each: a newer one takes the place of an older one.
///
/// Requests of models without a plan (strings), and callers whose shapes never repeat, find nothing here and are read as messages.
final class RequestHeads {

  static final int BYTES_MAX = 2048;
  private static final int PLACES = 1024;

  private static final VarHandle LONGS =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final long ODD = 0x9E3779B97F4A7C15L;

  private final AtomicReferenceArray<RequestHead> heads = new AtomicReferenceArray<>(PLACES);

  @Nullable RequestHead find(byte[] bytes, int length, long hash) {
    RequestHead head = heads.getAcquire(place(hash));
    return head != null && head.hash() == hash && head.is(bytes, length) ? head : null;
  }

  void keep(RequestHead head) {
    heads.setRelease(place(head.hash()), head);
  }

  private static int place(long hash) {
    return (int) (hash >>> 54);
  }

  /// Every byte counts: models of one family differ in a digit of their name. Multiplying and folding eight bytes at a time takes
  /// some 20 ns for a usual head.
  static long hash(byte[] bytes, int length) {
    long hash = length * ODD;
    int i = 0;
    for (; i + Long.BYTES <= length; i += Long.BYTES) {
      hash = mixed(hash ^ (long) LONGS.get(bytes, i));
    }
    long rest = 0;
    for (; i < length; i++) {
      rest = (rest << Byte.SIZE) | (bytes[i] & 0xFF);
    }
    return mixed(hash ^ rest);
  }

  private static long mixed(long bits) {
    long product = bits * ODD;
    return product ^ (product >>> 32);
  }
}
