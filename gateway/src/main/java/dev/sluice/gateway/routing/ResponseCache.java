package dev.sluice.gateway.routing;

import com.dynatrace.hash4j.hashing.ByteAccess;
import com.dynatrace.hash4j.hashing.Hasher64;
import com.dynatrace.hash4j.hashing.Hashing;
import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/// Answers that were given before, for models whose owners say that equal requests have equal answers.
///
/// Two requests are equal when the same load of a version is asked for the same outputs of inputs that agree in names,
/// datatypes, shapes and every byte. The bytes themselves are compared, and so they are kept: a hash in their place, even a
/// long one, would let whoever can find two inputs of one hash choose what others are answered, unless it is a
/// cryptographic one, and that takes longer than a fast model does. The hash only finds the place.
///
/// Inputs, outputs and bookkeeping are counted in bytes, and what is used least makes room. What would fill more than a
/// sixteenth of the cache passes it by. A version that is closed takes its answers with it; one that is loaded again under
/// its number never sees those of its predecessor.
public final class ResponseCache {

  /// Requests and answers larger than this part of the cache would push out everything else.
  private static final int SHARE = 16;

  /// What an entry takes beside its bytes, very roughly: objects, names, the cache's own nodes.
  private static final int ENTRY_BYTES = 512;

  private static final int TENSOR_BYTES = 192;
  private static final Hasher64 HASHER = Hashing.xxh3_64();
  private static final ByteAccess<ByteBuffer> BYTES = ByteAccess.forByteBuffer(ByteOrder.LITTLE_ENDIAN);

  private final long entryBytesMax;
  private final Cache<Key, List<Tensor>> answers;

  /// Those that have entries.
  private final Set<ModelVersion> versions = ConcurrentHashMap.newKeySet();

  /// @param bytesMax of everything in it, at least 1
  public ResponseCache(long bytesMax) {
    if (bytesMax < 1) {
      throw new IllegalArgumentException("cache-config: size is %d; expected at least 1".formatted(bytesMax));
    }
    this.entryBytesMax = Math.min(bytesMax / SHARE, Integer.MAX_VALUE);
    this.answers =
        Caffeine.newBuilder()
            .maximumWeight(bytesMax)
            .weigher((Key key, List<Tensor> outputs) -> (int) Math.min(weight(key.inputs, outputs), Integer.MAX_VALUE))
            // Eviction is a few steps for each new entry; a pool of threads for it would have to be owned by somebody.
            .executor(Runnable::run)
            .build();
  }

  /// Looks a request up; null when the version is not to be cached, or the request is too large.
  ///
  /// @param version leased by the caller
  @Nullable Place lookUp(ModelVersion version, InferenceRequest request) {
    if (!version.profile().responseCache() || weight(request.inputs(), List.of()) > entryBytesMax) {
      return null;
    }
    long started = System.nanoTime();
    Key key = new Key(version, request.outputs(), request.inputs(), hash(version, request));
    List<Tensor> found = answers.getIfPresent(key);
    long nanos = System.nanoTime() - started;
    if (found != null) {
      version.statistics().answeredFromCache(System.nanoTime() - request.startedNanos(), nanos);
    }
    return new Place(key, found, nanos);
  }

  /// Where one request's answer is, or belongs.
  final class Place {
    private final Key key;
    private final @Nullable List<Tensor> found;
    private final long lookUpNanos;

    private Place(Key key, @Nullable List<Tensor> found, long lookUpNanos) {
      this.key = key;
      this.found = found;
      this.lookUpNanos = lookUpNanos;
    }

    /// The answer, or null when there is none yet.
    @Nullable List<Tensor> found() {
      return found;
    }

    /// The time that looking took.
    long lookUpNanos() {
      return lookUpNanos;
    }

    /// Keeps a copy of the answer that a run gave; to be called when the caller has it already.
    void keep(List<Tensor> outputs) {
      long started = System.nanoTime();
      if (weight(key.inputs, outputs) <= entryBytesMax) {
        insert(key, outputs);
      }
      missed(System.nanoTime() - started);
    }

    /// There was no answer to keep.
    void forget() {
      missed(0);
    }

    private void missed(long keepNanos) {
      key.version.statistics().missedCache(lookUpNanos + keepNanos);
    }
  }

  private void insert(Key key, List<Tensor> outputs) {
    ModelVersion version = key.version;
    if (versions.add(version)) {
      var _ = version.closed().whenComplete((_, _) -> remove(version));
    }
    answers.put(key.owned(), outputs.stream().map(ResponseCache::owned).toList());
    if (version.closed().isDone()) {
      remove(version); // It was closed in the meantime, and nobody else would.
    }
  }

  private void remove(ModelVersion version) {
    versions.remove(version);
    answers.asMap().keySet().removeIf(key -> key.isOf(version));
  }

  /// The bytes that all entries take, as they are counted.
  long bytes() {
    return answers.policy().eviction().map(eviction -> eviction.weightedSize().orElse(0)).orElse(0L);
  }

  // --- keys ---------------------------------------------------------------------------------------------------------

  /// A request as far as its answer depends on it. To look one up, it is a view of the request's own bytes.
  private static final class Key {
    final ModelVersion version;
    final List<String> outputs;
    final List<Tensor> inputs;
    final int hash;

    Key(ModelVersion version, List<String> outputs, List<Tensor> inputs, int hash) {
      this.version = version;
      this.outputs = outputs;
      this.inputs = inputs;
      this.hash = hash;
    }

    /// With bytes of its own: the request's are part of a message that would stay as a whole.
    Key owned() {
      return new Key(version, List.copyOf(outputs), inputs.stream().map(ResponseCache::owned).toList(), hash);
    }

    @SuppressWarnings("ReferenceEquality") // A version is this very load of it.
    boolean isOf(ModelVersion other) {
      return version == other;
    }

    @Override
    public boolean equals(@Nullable Object other) {
      // A tensor is its name, datatype, shape and bytes.
      return other instanceof Key that
          && hash == that.hash
          && isOf(that.version)
          && outputs.equals(that.outputs)
          && inputs.equals(that.inputs);
    }

    @Override
    public int hashCode() {
      return hash;
    }
  }

  private static int hash(ModelVersion version, InferenceRequest request) {
    long hash = 31L * System.identityHashCode(version) + request.outputs().hashCode();
    for (Tensor input : request.inputs()) {
      hash = 31 * hash + input.name().hashCode();
      hash = 31 * hash + input.shape().hashCode();
      hash = 31 * hash + HASHER.hashBytesToLong(input.bytes(), 0, input.bytes().limit(), BYTES);
    }
    return Long.hashCode(hash);
  }

  private static Tensor owned(Tensor tensor) {
    ByteBuffer bytes = ByteBuffer.allocate(tensor.bytes().limit()).order(ByteOrder.LITTLE_ENDIAN);
    bytes.put(0, tensor.bytes(), 0, tensor.bytes().limit());
    return new Tensor(tensor.name(), tensor.datatype(), tensor.shape(), bytes.asReadOnlyBuffer());
  }

  private static long weight(List<Tensor> inputs, List<Tensor> outputs) {
    return ENTRY_BYTES + weight(inputs) + weight(outputs);
  }

  private static long weight(List<Tensor> tensors) {
    long weight = 0;
    for (Tensor tensor : tensors) {
      weight += TENSOR_BYTES + tensor.bytes().limit();
    }
    return weight;
  }
}
