package dev.sluice.loadtest.client;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;

import io.grpc.Status;
import io.grpc.netty.shaded.io.netty.buffer.ByteBuf;
import io.grpc.netty.shaded.io.netty.buffer.Unpooled;
import io.grpc.netty.shaded.io.netty.channel.Channel;
import io.grpc.netty.shaded.io.netty.channel.ChannelHandlerContext;
import io.grpc.netty.shaded.io.netty.channel.ChannelInboundHandlerAdapter;
import io.grpc.netty.shaded.io.netty.handler.codec.http2.DefaultHttp2HeadersDecoder;
import io.grpc.netty.shaded.io.netty.handler.codec.http2.DefaultHttp2HeadersEncoder;
import io.grpc.netty.shaded.io.netty.handler.codec.http2.Http2Exception;
import io.grpc.netty.shaded.io.netty.handler.codec.http2.Http2Headers;
import io.grpc.netty.shaded.io.netty.util.collection.IntObjectHashMap;
import io.grpc.netty.shaded.io.netty.util.collection.IntObjectMap;
import java.io.IOException;
import java.net.URLDecoder;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/// One HTTP/2 connection that carries unary gRPC calls, and nothing else of either protocol: the generator shares the
/// machine with what it measures, so a call may cost it two or three microseconds and not the ten that a client library
/// takes. Header compression is Netty's; a request whose headers are those of the one before is compressed once only.
///
/// RFC 9113 and gRPC's PROTOCOL-HTTP2. Everything happens on the connection's event loop. What is written within one turn
/// of the loop goes out in one write. Flow control: the peer's windows are kept; its own are as large as the protocol allows.
final class Transport extends ChannelInboundHandlerAdapter {
  private static final byte[] PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".getBytes(US_ASCII);
  private static final int FRAME_HEADER = 9;
  private static final int MESSAGE_HEADER = 5;
  private static final int WINDOW_DEFAULT = 65_535;
  private static final int FRAME_DEFAULT = 16_384;

  /// A header block or a frame beyond this is not from a server that a load test is for.
  private static final int HEADER_BYTES_MAX = 1 << 20;

  /// Beyond it the stream ids of a connection come to their end; a fresh connection takes over.
  private static final int STREAM_ID_MAX = Integer.MAX_VALUE - 2;

  private static final int DATA = 0;
  private static final int HEADERS = 1;
  private static final int RST_STREAM = 3;
  private static final int SETTINGS = 4;
  private static final int PUSH_PROMISE = 5;
  private static final int PING = 6;
  private static final int GOAWAY = 7;
  private static final int WINDOW_UPDATE = 8;
  private static final int CONTINUATION = 9;

  private static final int END_STREAM = 0x1;
  private static final int ACK = 0x1;
  private static final int END_HEADERS = 0x4;
  private static final int PADDED = 0x8;
  private static final int PRIORITY = 0x20;

  private static final int ERROR_CANCEL = 0x8;

  /// A call as the transport sees it.
  abstract static class Exchange {
    final byte[] message;
    final Http2Headers headers;
    private @Nullable Transport transport;
    private int id;
    private int sent;
    private int window;
    private byte @Nullable [] partial;
    private int received;
    private @Nullable Answer answer;
    private boolean ended;

    /// @param headers the same object for requests with the same headers
    Exchange(byte[] message, Http2Headers headers) {
      this.message = message;
      this.headers = headers;
    }

    /// Once; on the event loop.
    abstract void ended(Status status, @Nullable Answer answer);

    /// Ends it from this side; on the event loop.
    final void cancel(Status status) {
      if (transport != null) {
        transport.reset(this);
      }
      end(status);
    }

    boolean hasEnded() {
      return ended;
    }

    private int bytes() {
      return MESSAGE_HEADER + message.length;
    }

    private void end(Status status) {
      if (!ended) {
        ended = true;
        partial = null;
        boolean silent = status.isOk() && answer == null;
        ended(
            silent ? Status.INTERNAL.withDescription("the server ended the call without a response") : status,
            status.isOk() ? answer : null);
      }
    }
  }

  private final boolean keepsResponses;
  private final CompletableFuture<Transport> ready = new CompletableFuture<>();
  private final IntObjectMap<Exchange> open = new IntObjectHashMap<>(256);
  /// Calls for which there is no stream yet, and those whose message has not gone out whole.
  private final Queue<Exchange> waiting = new ArrayDeque<>();
  private final Queue<Exchange> unsent = new ArrayDeque<>();
  private final DefaultHttp2HeadersEncoder encoder = new DefaultHttp2HeadersEncoder();
  private final DefaultHttp2HeadersDecoder decoder = new DefaultHttp2HeadersDecoder(false, HEADER_BYTES_MAX);

  private @Nullable Channel channel;
  private @Nullable ByteBuf out;
  private boolean flushAsked;

  private byte[] in = new byte[64 << 10];
  private int inEnd;

  private int nextId = 1;
  private long peerWindow = WINDOW_DEFAULT;
  private int peerStreamWindow = WINDOW_DEFAULT;
  private int peerFrameMax = FRAME_DEFAULT;
  private long peerStreamsMax = Integer.MAX_VALUE;
  private long consumed;
  private boolean goingAway;
  private Status closedBecause = Status.UNAVAILABLE.withDescription("the server closed the connection");

  private @Nullable Http2Headers lastHeaders;
  private byte[] lastBlock = {};

  /// The header block that is being put together from CONTINUATION frames.
  private byte @Nullable [] block;
  private int blockId;
  private boolean blockEndsStream;

  /// The trailers read last, whose block says the same as long as the table of the decompression stays what it is.
  private byte[] knownBlock = {};
  private @Nullable Status knownStatus;
  private boolean blockKnown;

  Transport(boolean keepsResponses) {
    this.keepsResponses = keepsResponses;
  }

  /// Completed when the peer has shown that it speaks HTTP/2, or failed with an [IOException].
  CompletableFuture<Transport> ready() {
    return ready;
  }

  /// Whether new calls may be given to it.
  boolean takesCalls() {
    return channel != null && !goingAway && nextId < STREAM_ID_MAX;
  }

  /// Sends a call, at once if the peer has room for it.
  void send(Exchange call) {
    call.transport = this;
    if (open.size() < peerStreamsMax && waiting.isEmpty()) {
      start(call);
    } else {
      waiting.add(call);
    }
  }

  private void reset(Exchange call) {
    if (call.id != 0 && open.remove(call.id) != null) {
      frame(4, RST_STREAM, 0, call.id).writeInt(ERROR_CANCEL);
      if (!waiting.isEmpty() || !unsent.isEmpty()) {
        pump();
      }
    }
  }

  void close(Status because) {
    closedBecause = because;
    if (channel != null) {
      var _ = channel.close();
    }
  }

  // --- out ------------------------------------------------------------------------------------------------------------

  private void start(Exchange call) {
    call.id = nextId;
    nextId += 2;
    call.window = peerStreamWindow;
    open.put(call.id, call);
    byte[] headers = compressed(call.headers);
    int first = Math.min(headers.length, peerFrameMax);
    frame(first, HEADERS, first == headers.length ? END_HEADERS : 0, call.id).writeBytes(headers, 0, first);
    for (int at = first; at < headers.length;) {
      int part = Math.min(headers.length - at, peerFrameMax);
      boolean last = at + part == headers.length;
      frame(part, CONTINUATION, last ? END_HEADERS : 0, call.id).writeBytes(headers, at, part);
      at += part;
    }
    if (!unsent.isEmpty() || !sendData(call)) {
      unsent.add(call);
    }
  }

  /// As much of the message as the windows allow; false when something is left.
  private boolean sendData(Exchange call) {
    int size = call.bytes();
    while (call.sent < size) {
      int part = (int) Math.min(Math.min(size - call.sent, peerFrameMax), Math.min(call.window, peerWindow));
      if (part <= 0) {
        return false;
      }
      ByteBuf to = frame(part, DATA, call.sent + part == size ? END_STREAM : 0, call.id);
      int rest = part;
      if (call.sent == 0) {
        if (part < MESSAGE_HEADER) {
          // A window of less than the message's own header: wait for a larger one.
          to.writerIndex(to.writerIndex() - FRAME_HEADER);
          return false;
        }
        to.writeByte(0).writeInt(call.message.length);
        rest -= MESSAGE_HEADER;
      }
      to.writeBytes(call.message, Math.max(0, call.sent - MESSAGE_HEADER), rest);
      call.sent += part;
      call.window -= part;
      peerWindow -= part;
    }
    return true;
  }

  /// What could not go before and can now.
  private void pump() {
    for (Exchange call; (call = unsent.peek()) != null;) {
      if (!call.ended && !sendData(call)) {
        // One that waits for its own window must not hold up the others.
        if (peerWindow > 0 && unsent.size() > 1 && call.window <= 0) {
          unsent.add(unsent.remove());
          if (unsent.stream().allMatch(other -> other.window <= 0)) {
            break;
          }
          continue;
        }
        break;
      }
      unsent.remove();
    }
    while (open.size() < peerStreamsMax && takesCalls()) {
      Exchange call = waiting.poll();
      if (call == null) {
        break;
      }
      if (!call.ended) {
        start(call);
      }
    }
  }

  @SuppressWarnings("ReferenceEquality") // To compare them would cost more than to compress them.
  private byte[] compressed(Http2Headers headers) {
    if (headers == lastHeaders) {
      return lastBlock;
    }
    ByteBuf buffer = Unpooled.buffer(256);
    try {
      encoder.encodeHeaders(nextId, headers, buffer);
    } catch (Http2Exception e) {
      throw new IllegalStateException("headers cannot be compressed", e);
    }
    byte[] bytes = Arrays.copyOf(buffer.array(), buffer.writerIndex());
    // Only what refers to the table alone may be sent again as it is: anything else would add to the table again.
    boolean stable = isIndexed(bytes, 0, bytes.length);
    lastHeaders = stable ? headers : null;
    lastBlock = bytes;
    return bytes;
  }

  /// Whether a block consists of one-byte references to the table.
  private static boolean isIndexed(byte[] bytes, int from, int length) {
    for (int i = from; i < from + length; i++) {
      if (bytes[i] >= 0 || bytes[i] == (byte) 0xff) {
        return false;
      }
    }
    return true;
  }

  private ByteBuf frame(int length, int type, int flags, int id) {
    ByteBuf to = out;
    Channel channel = this.channel;
    if (channel == null) {
      // Closed: what is written goes nowhere.
      return Unpooled.buffer(FRAME_HEADER + length);
    }
    if (to == null) {
      to = channel.alloc().directBuffer(16 << 10);
      out = to;
    }
    if (!flushAsked) {
      flushAsked = true;
      channel.eventLoop().execute(this::flush);
    }
    return to.writeMedium(length).writeByte(type).writeByte(flags).writeInt(id);
  }

  private void flush() {
    flushAsked = false;
    ByteBuf ready = out;
    out = null;
    if (ready != null) {
      if (channel == null) {
        ready.release();
      } else {
        var _ = channel.writeAndFlush(ready, channel.voidPromise());
      }
    }
  }

  // --- in -------------------------------------------------------------------------------------------------------------

  @Override
  public void channelActive(ChannelHandlerContext context) {
    channel = context.channel();
    ByteBuf hello = context.alloc().directBuffer(128);
    hello.writeBytes(PREFACE);
    hello.writeMedium(12).writeByte(SETTINGS).writeByte(0).writeInt(0);
    hello.writeShort(2).writeInt(0); // no pushes
    hello.writeShort(4).writeInt(Integer.MAX_VALUE); // a stream's window
    hello.writeMedium(4).writeByte(WINDOW_UPDATE).writeByte(0).writeInt(0).writeInt(Integer.MAX_VALUE - WINDOW_DEFAULT);
    var _ = context.writeAndFlush(hello, context.voidPromise());
  }

  @Override
  public void channelRead(ChannelHandlerContext context, Object message) {
    ByteBuf bytes = (ByteBuf) message;
    try {
      int more = bytes.readableBytes();
      if (in.length - inEnd < more) {
        in = Arrays.copyOf(in, Math.max(2 * in.length, inEnd + more));
      }
      bytes.readBytes(in, inEnd, more);
      inEnd += more;
      readFrames();
    } catch (IOException | Http2Exception e) {
      close(Status.UNAVAILABLE.withDescription("the server's HTTP/2 cannot be read: " + e.getMessage()));
    } finally {
      bytes.release();
    }
  }

  private void readFrames() throws IOException, Http2Exception {
    int at = 0;
    while (inEnd - at >= FRAME_HEADER) {
      int length = ((in[at] & 0xff) << 16) | ((in[at + 1] & 0xff) << 8) | (in[at + 2] & 0xff);
      if (length > FRAME_DEFAULT) {
        throw new IOException("a frame of %d bytes, expected at most %d".formatted(length, FRAME_DEFAULT));
      }
      if (inEnd - at < FRAME_HEADER + length) {
        break;
      }
      int from = at + FRAME_HEADER;
      read(in[at + 3] & 0xff, in[at + 4] & 0xff, integer(at + 5) & Integer.MAX_VALUE, from, length);
      at = from + length;
    }
    if (at > 0) {
      System.arraycopy(in, at, in, 0, inEnd - at);
      inEnd -= at;
    }
  }

  private void read(int type, int flags, int id, int from, int length) throws IOException, Http2Exception {
    if (block != null && (type != CONTINUATION || id != blockId)) {
      throw new IOException("frame of type %d within a header block".formatted(type));
    }
    switch (type) {
      case DATA -> readData(flags, id, from, length);
      case HEADERS -> {
        int start = from + ((flags & PADDED) != 0 ? 1 : 0) + ((flags & PRIORITY) != 0 ? 5 : 0);
        int end = from + length - ((flags & PADDED) != 0 ? in[from] & 0xff : 0);
        requireWithin(start, end);
        boolean endsStream = (flags & END_STREAM) != 0;
        if ((flags & END_HEADERS) != 0) {
          readHeaders(id, in, start, end - start, endsStream);
        } else {
          block = Arrays.copyOfRange(in, start, end);
          blockId = id;
          blockEndsStream = endsStream;
        }
      }
      case CONTINUATION -> {
        byte[] begun = block;
        if (begun == null || begun.length + length > HEADER_BYTES_MAX) {
          throw new IOException("a header block without a beginning, or beyond %d bytes".formatted(HEADER_BYTES_MAX));
        }
        byte[] whole = Arrays.copyOf(begun, begun.length + length);
        System.arraycopy(in, from, whole, begun.length, length);
        boolean last = (flags & END_HEADERS) != 0;
        block = last ? null : whole;
        if (last) {
          readHeaders(id, whole, 0, whole.length, blockEndsStream);
        }
      }
      case RST_STREAM -> {
        require(length == 4, "RST_STREAM");
        Exchange call = open.remove(id);
        if (call != null) {
          call.end(ofReset(integer(from)));
          pump();
        }
      }
      case SETTINGS -> readSettings(flags, from, length);
      case PING -> {
        require(length == 8, "PING");
        if ((flags & ACK) == 0) {
          frame(8, PING, ACK, 0).writeBytes(in, from, 8);
        }
      }
      case GOAWAY -> {
        require(length >= 8, "GOAWAY");
        goAway(integer(from) & Integer.MAX_VALUE, integer(from + 4), new String(in, from + 8, length - 8, UTF_8));
      }
      case WINDOW_UPDATE -> {
        require(length == 4, "WINDOW_UPDATE");
        int more = integer(from) & Integer.MAX_VALUE;
        Exchange call = open.get(id);
        if (id == 0) {
          peerWindow += more;
        } else if (call != null) {
          call.window += more;
        }
        pump();
      }
      case PUSH_PROMISE -> throw new IOException("a push that was declined");
      default -> {} // PRIORITY, and what may come one day
    }
  }

  private void readData(int flags, int id, int from, int length) throws IOException {
    consumed += length;
    if (consumed > Integer.MAX_VALUE / 2) {
      frame(4, WINDOW_UPDATE, 0, 0).writeInt((int) consumed);
      consumed = 0;
    }
    int start = from + ((flags & PADDED) != 0 ? 1 : 0);
    int end = from + length - ((flags & PADDED) != 0 ? in[from] & 0xff : 0);
    requireWithin(start, end);
    Exchange call = open.get(id);
    if (call == null) {
      return; // of a call that this side has ended
    }
    try {
      readMessage(call, start, end - start);
    } catch (IOException e) {
      call.cancel(Status.INTERNAL.withDescription("the response is not a ModelInferResponse: " + e.getMessage()));
      return;
    }
    if ((flags & END_STREAM) != 0) {
      open.remove(id);
      call.end(Status.INTERNAL.withDescription("the server ended the call without a status"));
      pump();
    }
  }

  private void readMessage(Exchange call, int from, int length) throws IOException {
    if (length == 0) {
      return;
    }
    byte[] bytes = in;
    int start = from;
    int size = length;
    byte[] partial = call.partial;
    if (partial != null) {
      if (partial.length - call.received < length) {
        partial = Arrays.copyOf(partial, Math.max(2 * partial.length, call.received + length));
        call.partial = partial;
      }
      System.arraycopy(in, from, partial, call.received, length);
      call.received += length;
      bytes = partial;
      start = 0;
      size = call.received;
    }
    int wanted = size < MESSAGE_HEADER ? Integer.MAX_VALUE : wanted(bytes, start);
    if (size - MESSAGE_HEADER < wanted) {
      if (partial == null) {
        call.partial = Arrays.copyOfRange(in, from, from + length);
        call.received = length;
      }
      return;
    }
    if (size - MESSAGE_HEADER > wanted || call.answer != null) {
      throw new IOException("more than one message");
    }
    call.answer = Answer.scan(bytes, start + MESSAGE_HEADER, wanted, keepsResponses);
    call.partial = null;
  }

  private static int wanted(byte[] bytes, int start) throws IOException {
    int size = integer(bytes, start + 1);
    if (bytes[start] != 0 || size < 0) {
      throw new IOException("a compressed message, which was not asked for, or one of over 2 GiB");
    }
    return size;
  }

  private void readHeaders(int id, byte[] bytes, int from, int length, boolean endsStream) throws Http2Exception {
    Status status;
    boolean indexed = isIndexed(bytes, from, length);
    if (endsStream && indexed && blockKnown
        && Arrays.equals(knownBlock, 0, knownBlock.length, bytes, from, from + length)) {
      status = knownStatus;
    } else {
      // Always read, as it may add to the table to which later blocks refer.
      if (!indexed) {
        blockKnown = false;
      }
      boolean first = open.get(id) != null && !endsStream;
      if (indexed && first) {
        status = null; // the response's first headers; only their end is of interest
      } else {
        status = status(decoder.decodeHeaders(id, Unpooled.wrappedBuffer(bytes, from, length)), endsStream);
      }
      if (endsStream && indexed) {
        knownBlock = Arrays.copyOfRange(bytes, from, from + length);
        knownStatus = status;
        blockKnown = true;
      }
    }
    if (endsStream) {
      Exchange call = open.remove(id);
      if (call != null) {
        if (call.sent < call.bytes()) {
          // Answered before it was heard out.
          frame(4, RST_STREAM, 0, id).writeInt(ERROR_CANCEL);
        }
        call.end(status == null ? Status.UNKNOWN.withDescription("the server ended the call without a status") : status);
        if (!waiting.isEmpty() || !unsent.isEmpty()) {
          pump();
        }
      }
    }
  }

  private static @Nullable Status status(Http2Headers headers, boolean trailers) {
    if (!trailers) {
      return null;
    }
    CharSequence code = headers.get("grpc-status");
    if (code == null) {
      CharSequence http = headers.status();
      return http == null || "200".contentEquals(http) ? null : ofHttp(http.toString());
    }
    Status status;
    try {
      status = Status.fromCodeValue(Integer.parseInt(code.toString()));
    } catch (NumberFormatException e) {
      return Status.UNKNOWN.withDescription("grpc-status '%s' is not a number".formatted(code));
    }
    CharSequence message = headers.get("grpc-message");
    return message == null ? status : status.withDescription(text(message.toString()));
  }

  /// gRPC writes what is not printable as `%` and two digits.
  private static String text(String message) {
    try {
      return message.indexOf('%') < 0 ? message : URLDecoder.decode(message.replace("+", "%2B"), UTF_8);
    } catch (IllegalArgumentException e) {
      return message;
    }
  }

  /// gRPC's http-grpc-status-mapping.
  private static Status ofHttp(String code) {
    Status status =
        switch (code) {
          case "400" -> Status.INTERNAL;
          case "401" -> Status.UNAUTHENTICATED;
          case "403" -> Status.PERMISSION_DENIED;
          case "404" -> Status.UNIMPLEMENTED;
          case "429", "502", "503", "504" -> Status.UNAVAILABLE;
          default -> Status.UNKNOWN;
        };
    return status.withDescription("HTTP status " + code);
  }

  private static Status ofReset(int error) {
    Status status =
        switch (error) {
          case 0x7 -> Status.UNAVAILABLE; // REFUSED_STREAM
          case ERROR_CANCEL -> Status.CANCELLED;
          case 0xb -> Status.RESOURCE_EXHAUSTED; // ENHANCE_YOUR_CALM
          case 0xc -> Status.PERMISSION_DENIED; // INADEQUATE_SECURITY
          default -> Status.INTERNAL;
        };
    return status.withDescription("the server reset the stream with HTTP/2 error " + error);
  }

  private void readSettings(int flags, int from, int length) throws IOException {
    if ((flags & ACK) != 0) {
      return;
    }
    require(length % 6 == 0, "SETTINGS");
    for (int at = from; at < from + length; at += 6) {
      int value = integer(at + 2);
      switch (((in[at] & 0xff) << 8) | (in[at + 1] & 0xff)) {
        case 1 -> {
          try {
            encoder.configuration().maxHeaderTableSize(Math.min(value & 0xffff_ffffL, 4096));
          } catch (Http2Exception e) {
            throw new IOException(e);
          }
          lastHeaders = null;
        }
        case 3 -> peerStreamsMax = value & 0xffff_ffffL;
        case 4 -> {
          int more = value - peerStreamWindow;
          peerStreamWindow = value;
          open.values().forEach(call -> call.window += more);
        }
        case 5 -> peerFrameMax = Math.clamp(value, FRAME_DEFAULT, 64 << 10);
        default -> {}
      }
    }
    frame(0, SETTINGS, ACK, 0);
    ready.complete(this);
    pump();
  }

  /// The calls that the server has not begun are nobody's any more; those before them still end.
  private void goAway(int lastId, int error, String why) {
    goingAway = true;
    Status status =
        Status.UNAVAILABLE.withDescription("the server sent GOAWAY with HTTP/2 error %d %s".formatted(error, why).strip());
    List<Exchange> lost = new ArrayList<>(waiting);
    waiting.clear();
    open.values().stream().filter(call -> call.id > lastId).forEach(lost::add);
    lost.forEach(call -> open.remove(call.id));
    lost.forEach(call -> call.end(status));
    closedBecause = status;
  }

  @Override
  public void channelInactive(ChannelHandlerContext context) {
    goingAway = true;
    channel = null;
    flush();
    ready.completeExceptionally(new IOException(closedBecause.getDescription()));
    List<Exchange> lost = new ArrayList<>(open.values());
    lost.addAll(waiting);
    open.clear();
    waiting.clear();
    unsent.clear();
    lost.forEach(call -> call.end(closedBecause));
  }

  @Override
  public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
    close(Status.UNAVAILABLE.withDescription("io exception").withCause(cause));
  }

  private int integer(int at) {
    return integer(in, at);
  }

  private static int integer(byte[] bytes, int at) {
    return ((bytes[at] & 0xff) << 24)
        | ((bytes[at + 1] & 0xff) << 16)
        | ((bytes[at + 2] & 0xff) << 8)
        | (bytes[at + 3] & 0xff);
  }

  private static void require(boolean right, String frame) throws IOException {
    if (!right) {
      throw new IOException("a %s frame of another length than it must have".formatted(frame));
    }
  }

  private static void requireWithin(int start, int end) throws IOException {
    if (start > end) {
      throw new IOException("a frame with more padding than content");
    }
  }
}
