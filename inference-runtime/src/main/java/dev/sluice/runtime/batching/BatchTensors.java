package dev.sluice.runtime.batching;

import dev.sluice.runtime.tensor.BufferPool;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// The inputs of several requests as those of one run, in pooled memory that native code reads in place.
final class BatchTensors implements AutoCloseable {
  private final BufferPool pool;
  private final List<ByteBuffer> borrowed = new ArrayList<>();
  private final List<Tensor> inputs = new ArrayList<>();

  private BatchTensors(BufferPool pool) {
    this.pool = pool;
  }

  /// Copies the rows of requests that can share a run behind one another.
  static BatchTensors gather(List<QueuedRequest> requests, BufferPool pool) {
    BatchTensors gathered = new BatchTensors(pool);
    try {
      for (int i = 0; i < requests.getFirst().inputs().size(); i++) {
        gathered.inputs.add(gathered.gather(requests, i));
      }
      return gathered;
    } catch (RuntimeException | Error e) {
      gathered.close();
      throw e;
    }
  }

  private Tensor gather(List<QueuedRequest> requests, int index) {
    Tensor first = requests.getFirst().inputs().get(index);
    long rows = 0;
    int size = 0;
    for (QueuedRequest request : requests) {
      rows += request.rows();
      size = Math.addExact(size, request.inputs().get(index).bytes().limit());
    }
    ByteBuffer buffer = pool.take(size);
    borrowed.add(buffer);
    int position = 0;
    for (QueuedRequest request : requests) {
      ByteBuffer bytes = request.inputs().get(index).bytes();
      buffer.put(position, bytes, 0, bytes.limit());
      position += bytes.limit();
    }
    long[] dims = first.shape().toArray();
    dims[0] = rows;
    return new Tensor(
        first.name(), first.datatype(), Shape.of(dims), buffer.slice(0, size).order(ByteOrder.LITTLE_ENDIAN));
  }

  List<Tensor> inputs() {
    return inputs;
  }

  /// Gives the memory back: nothing may read the inputs any more.
  @Override
  public void close() {
    borrowed.forEach(pool::give);
  }

  /// The outputs of a run, request by request, without copying them; null when they are not rows of these requests.
  static @Nullable List<List<Tensor>> slices(List<Tensor> outputs, List<QueuedRequest> requests) {
    long rows = 0;
    List<List<Tensor>> slices = new ArrayList<>(requests.size());
    for (QueuedRequest request : requests) {
      rows += request.rows();
      slices.add(new ArrayList<>(outputs.size()));
    }
    for (Tensor output : outputs) {
      if (output.shape().rank() == 0 || output.shape().dim(0) != rows) {
        return null;
      }
      boolean fits = output.datatype() == Datatype.BYTES
          ? sliceStrings(output, rows, requests, slices)
          : sliceNumbers(output, rows, requests, slices);
      if (!fits) {
        return null;
      }
    }
    return slices;
  }

  private static boolean sliceNumbers(
      Tensor output, long rows, List<QueuedRequest> requests, List<List<Tensor>> slices) {
    long size = output.shape().elements() * output.datatype().byteSize();
    if (size != output.bytes().limit()) {
      return false;
    }
    int rowBytes = (int) (size / rows);
    int start = 0;
    for (int i = 0; i < requests.size(); i++) {
      int length = (int) requests.get(i).rows() * rowBytes;
      slices.get(i).add(slice(output, requests.get(i).rows(), start, length));
      start += length;
    }
    return true;
  }

  /// Elements tell their own lengths, so the way to a request's rows leads over all before them.
  private static boolean sliceStrings(
      Tensor output, long rows, List<QueuedRequest> requests, List<List<Tensor>> slices) {
    ByteBuffer bytes = output.bytes();
    long rowElements = output.shape().elements() / rows;
    int position = 0;
    for (int i = 0; i < requests.size(); i++) {
      int start = position;
      for (long element = requests.get(i).rows() * rowElements; element > 0; element--) {
        if (bytes.limit() - position < Integer.BYTES) {
          return false;
        }
        int length = bytes.getInt(position);
        position += Integer.BYTES;
        if (length < 0 || length > bytes.limit() - position) {
          return false;
        }
        position += length;
      }
      slices.get(i).add(slice(output, requests.get(i).rows(), start, position - start));
    }
    return position == bytes.limit();
  }

  private static Tensor slice(Tensor output, long rows, int start, int length) {
    long[] dims = output.shape().toArray();
    dims[0] = rows;
    return new Tensor(
        output.name(),
        output.datatype(),
        Shape.of(dims),
        output.bytes().slice(start, length).order(ByteOrder.LITTLE_ENDIAN));
  }
}
