package dev.sluice.loadtest.client;

import com.google.protobuf.CodedInputStream;
import com.google.protobuf.WireFormat;
import java.io.IOException;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// What a response says about itself. Only the response's parameters are read; tensors are stepped over, because
/// parsing them would cost the generator more than all the rest of a call.
///
/// @param bytes the whole message, or null when nobody wants it
@SuppressWarnings("ArrayRecordComponent") // Never compared; wrapping the bytes would copy or allocate once more.
record Answer(int size, @Nullable String variant, @Nullable String fallback, byte @Nullable [] bytes) {
  private static final int PARAMETERS_TAG = 4 << 3 | WireFormat.WIRETYPE_LENGTH_DELIMITED;
  private static final int MAP_KEY_TAG = 1 << 3 | WireFormat.WIRETYPE_LENGTH_DELIMITED;
  private static final int MAP_VALUE_TAG = 2 << 3 | WireFormat.WIRETYPE_LENGTH_DELIMITED;
  private static final int STRING_PARAM_TAG = 3 << 3 | WireFormat.WIRETYPE_LENGTH_DELIMITED;

  static Answer scan(byte[] bytes, int from, int size, boolean keep) throws IOException {
    CodedInputStream in = CodedInputStream.newInstance(bytes, from, size);
    String variant = null;
    String fallback = null;
    for (int tag; (tag = in.readTag()) != 0;) {
      if (tag != PARAMETERS_TAG) {
        in.skipField(tag);
        continue;
      }
      String key = "";
      String value = null;
      int outer = in.pushLimit(in.readRawVarint32());
      while ((tag = in.readTag()) != 0) {
        switch (tag) {
          case MAP_KEY_TAG -> key = in.readString();
          case MAP_VALUE_TAG -> value = readStringParameter(in);
          default -> in.skipField(tag);
        }
      }
      in.popLimit(outer);
      switch (key) {
        case "sluice_variant" -> variant = value;
        case "sluice_fallback" -> fallback = value;
        default -> {}
      }
    }
    return new Answer(size, variant, fallback, keep ? Arrays.copyOfRange(bytes, from, from + size) : null);
  }

  private static @Nullable String readStringParameter(CodedInputStream in) throws IOException {
    String value = null;
    int outer = in.pushLimit(in.readRawVarint32());
    for (int tag; (tag = in.readTag()) != 0;) {
      if (tag == STRING_PARAM_TAG) {
        value = in.readString();
      } else {
        in.skipField(tag);
      }
    }
    in.popLimit(outer);
    return value;
  }
}
