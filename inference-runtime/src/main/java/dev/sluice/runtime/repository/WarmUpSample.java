package dev.sluice.runtime.repository;

import dev.sluice.proto.inference.ModelWarmup;
import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.model.Signature;
import dev.sluice.runtime.tensor.Datatype;
import dev.sluice.runtime.tensor.Shape;
import dev.sluice.runtime.tensor.Tensor;
import dev.sluice.runtime.tensor.TensorSpec;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// One request of a configuration's `model_warmup`, ready to run.
///
/// @param row the inputs of one row, or the whole request when the model has no batch
/// @param rows how often the row is in the request
/// @param runs how often the request is run
record WarmUpSample(String name, List<Tensor> row, int rows, int runs, boolean batches) {
  private static final Logger log = LoggerFactory.getLogger(WarmUpSample.class);
  private static final String FOLDER = "warmup";
  private static final long SEED = 20_240_607;
  private static final int INTEGERS = 4;

  /// The request with so many rows; it has one when the model has no batch.
  List<Tensor> inputs(int wanted) {
    return batches && wanted > 1
        ? row.stream().map(tensor -> Samples.stacked(Collections.nCopies(wanted, tensor))).toList()
        : row;
  }

  /// The samples that a configuration names, in its order, without those of no rows (as Triton leaves them out).
  static List<WarmUpSample> of(ModelConfiguration configuration, ResolvedModel model) throws ModelLoadException {
    List<WarmUpSample> samples = new ArrayList<>();
    for (ModelWarmup warmup : configuration.config().getModelWarmupList()) {
      if (warmup.getBatchSize() == 0) {
        log.info("{}: left out the warm-up '{}', whose batch_size is 0", configuration.label(), warmup.getName());
      } else {
        samples.add(new Reader(configuration, model, warmup).sample());
      }
    }
    return samples;
  }

  /// Makes one sample.
  private static final class Reader {
    private final ModelConfiguration configuration;
    private final Signature signature;
    private final boolean batches;
    private final ModelWarmup warmup;
    private final Random random = new Random(SEED);

    Reader(ModelConfiguration configuration, ResolvedModel model, ModelWarmup warmup) {
      this.configuration = configuration;
      this.signature = model.signature();
      this.batches = model.config().getMaxBatchSize() > 0;
      this.warmup = warmup;
    }

    WarmUpSample sample() throws ModelLoadException {
      int rows = rows();
      Map<String, ModelWarmup.Input> inputs = new HashMap<>(warmup.getInputsMap());
      List<Tensor> row = new ArrayList<>();
      for (TensorSpec spec : signature.inputs()) {
        ModelWarmup.Input input = inputs.remove(spec.name());
        if (input != null) {
          row.add(tensor(spec, input, rows));
        } else if (!spec.optional()) {
          throw fault("input '%s' of the model is missing".formatted(spec.name()));
        }
      }
      for (String name : inputs.keySet()) {
        throw fault("input '%s' is not an input of the model".formatted(name));
      }
      int runs = (int) Math.clamp(Integer.toUnsignedLong(warmup.getCount()), 1L, Integer.MAX_VALUE);
      return new WarmUpSample(warmup.getName(), row, rows, runs, batches);
    }

    private int rows() throws ModelLoadException {
      long rows = Integer.toUnsignedLong(warmup.getBatchSize());
      long rowsMax = !batches ? 1 : signature.maxBatchSize() == 0 ? Integer.MAX_VALUE : signature.maxBatchSize();
      if (rows > rowsMax) {
        throw fault(
            "batch size %d for '%s', max allowed is %d"
                .formatted(rows, configuration.model(), batches ? rowsMax : 0));
      }
      return (int) rows;
    }

    private Tensor tensor(TensorSpec spec, ModelWarmup.Input input, int rows) throws ModelLoadException {
      if (DataTypes.of(input.getDataType()) != spec.datatype()) {
        throw fault("input '%s' is %s; the model has %s".formatted(spec.name(), input.getDataType(), spec.datatype()));
      }
      for (long dim : input.getDimsList()) {
        if (dim < 0) {
          throw fault(
              "warmup setting expects all variable-size dimensions are specified for input '%s': dims are %s"
                  .formatted(spec.name(), input.getDimsList()));
        }
      }
      LongStream dims = input.getDimsList().stream().mapToLong(Long::longValue);
      Shape shape = Shape.of((batches ? LongStream.concat(LongStream.of(1), dims) : dims).toArray());
      if (!spec.shape().accepts(shape)) {
        throw fault(
            "input '%s' has dims %s; the model expects %s"
                .formatted(spec.name(), input.getDimsList(), spec.shape()));
      }
      if (!Samples.fits(spec.datatype(), shape, rows)) {
        throw fault(
            "%d rows of input '%s' with dims %s are more than %d bytes"
                .formatted(rows, spec.name(), input.getDimsList(), Samples.BYTES_MAX));
      }
      return switch (input.getInputDataTypeCase()) {
        case ZERO_DATA -> Samples.zeros(spec, shape);
        case RANDOM_DATA -> Samples.random(spec, shape, random, INTEGERS, 0);
        case INPUT_DATA_FILE -> read(spec, shape, input.getInputDataFile());
        case INPUTDATATYPE_NOT_SET ->
            throw fault(
                ("warmup setting expects input '%s' to have input_data_type set: zero_data, random_data or"
                        + " input_data_file")
                    .formatted(spec.name()));
      };
    }

    private Tensor read(TensorSpec spec, Shape shape, String file) throws ModelLoadException {
      Path folder = configuration.modelFolder().resolve(FOLDER);
      String label = configuration.model() + "/" + FOLDER;
      String field = "%s: input_data_file of input '%s'".formatted(at(), spec.name());
      ByteBuffer bytes =
          ByteBuffer.wrap(PlainFile.read(folder, file, Samples.BYTES_MAX, field, label)).order(ByteOrder.LITTLE_ENDIAN);
      if (spec.datatype() == Datatype.BYTES) {
        String fault = elementsFault(bytes, shape.elements());
        if (fault != null) {
          throw new ModelLoadException("%s names '%s/%s', which %s".formatted(field, label, file, fault));
        }
        return new Tensor(spec.name(), spec.datatype(), shape, bytes);
      }
      long expected = shape.elements() * spec.datatype().byteSize();
      if (bytes.limit() < expected) {
        throw fault(
            "warmup setting expects %d bytes, but the data provided from %s only has %d bytes"
                .formatted(expected, file, bytes.limit()));
      }
      if (bytes.limit() > expected) {
        log.warn("{}: used the first {} of the {} bytes of {}/{}", at(), expected, bytes.limit(), label, file);
      }
      return new Tensor(spec.name(), spec.datatype(), shape, bytes.limit((int) expected));
    }

    private static @Nullable String elementsFault(ByteBuffer bytes, long expected) {
      long position = 0;
      long elements = 0;
      while (position < bytes.limit()) {
        boolean prefixed = bytes.limit() - position >= Integer.BYTES;
        position += Integer.BYTES + (prefixed ? Integer.toUnsignedLong(bytes.getInt((int) position)) : 0);
        if (!prefixed || position > bytes.limit()) {
          return "ends in the middle of element %d".formatted(elements);
        }
        elements++;
      }
      return elements == expected ? null : "has %d elements; expected %d".formatted(elements, expected);
    }

    private String at() {
      return "%s: model_warmup '%s'".formatted(configuration.label(), warmup.getName());
    }

    private ModelLoadException fault(String fault) {
      return new ModelLoadException("%s: %s".formatted(at(), fault));
    }
  }
}
