package dev.sluice.gateway.testing;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/// A client that speaks HTTP/2 by the frame, to do what no well-behaved one would: stop in the middle of a message, send it
/// byte by byte, never take an answer.
public final class RawHttp2 implements AutoCloseable {

  private static final int DATA = 0;
  private static final int HEADERS = 1;
  private static final int RST_STREAM = 3;
  private static final int SETTINGS = 4;
  private static final int PING = 6;
  private static final int WINDOW_UPDATE = 8;
  private static final int END_STREAM = 1;
  private static final int END_HEADERS = 4;
  private static final int ACK = 1;
  private static final byte CANCEL = 8;
  private static final int FRAME_BYTES_MAX = 16_384;

  private final Socket socket;
  private final DataOutputStream out;
  private final Map<Integer, Long> streamWindows = new ConcurrentHashMap<>();
  private final Map<Integer, String> ended = new ConcurrentHashMap<>();
  private long connectionWindow = 65_535;
  private long initialWindow = 65_535;
  private boolean closed;
  private int nextStream = 1;

  /// Connects, and reads what the server says of itself. Answers stay within HTTP/2's first window: none is ever taken.
  public RawHttp2(int port) throws IOException {
    socket = new Socket(InetAddress.getLoopbackAddress(), port);
    socket.setTcpNoDelay(true);
    out = new DataOutputStream(new BufferedOutputStream(socket.getOutputStream(), 1 << 16));
    out.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".getBytes(US_ASCII));
    frame(SETTINGS, 0, 0, new byte[0], 0);
    out.flush();
    Thread.ofPlatform().daemon().name("raw-http2").start(this::read);
  }

  /// Begins a unary call of the inference service.
  public synchronized int begin(String method) throws IOException {
    int stream = nextStream;
    nextStream += 2;
    ByteArrayOutputStream block = new ByteArrayOutputStream();
    header(block, ":method", "POST");
    header(block, ":scheme", "http");
    header(block, ":path", "/inference.GRPCInferenceService/" + method);
    header(block, ":authority", "127.0.0.1");
    header(block, "content-type", "application/grpc");
    header(block, "te", "trailers");
    streamWindows.put(stream, initialWindow);
    frame(HEADERS, END_HEADERS, stream, block.toByteArray(), block.size());
    out.flush();
    return stream;
  }

  /// Sends bytes of a call's message in frames of this size, as far as the server's windows let it, and waits where they do not.
  ///
  /// @return false if the call ended meanwhile
  public boolean send(int stream, byte[] bytes, int frameBytes, boolean last) throws IOException, InterruptedException {
    int at = 0;
    while (at < bytes.length) {
      int count = Math.min(Math.min(frameBytes, FRAME_BYTES_MAX), bytes.length - at);
      synchronized (this) {
        while (!closed && !ended.containsKey(stream) && (connectionWindow < count || window(stream) < count)) {
          out.flush();
          wait(100);
        }
        if (closed || ended.containsKey(stream)) {
          return false;
        }
        connectionWindow -= count;
        streamWindows.merge(stream, (long) -count, Long::sum);
        byte[] part = new byte[count];
        System.arraycopy(bytes, at, part, 0, count);
        frame(DATA, last && at + count == bytes.length ? END_STREAM : 0, stream, part, count);
      }
      at += count;
    }
    synchronized (this) {
      out.flush();
    }
    return true;
  }

  /// The caller has gone, as HTTP/2 says it.
  public synchronized void reset(int stream) throws IOException {
    frame(RST_STREAM, 0, stream, new byte[] {0, 0, 0, CANCEL}, 4);
    out.flush();
  }

  private long window(int stream) {
    return streamWindows.getOrDefault(stream, 0L);
  }

  /// How the server ended a call; empty while it has not.
  public String end(int stream) {
    return ended.getOrDefault(stream, "");
  }

  public int endedCalls() {
    return ended.size();
  }

  public synchronized boolean isClosed() {
    return closed;
  }

  /// The five bytes before a message.
  public static byte[] prefix(int messageBytes) {
    return new byte[] {
      0, (byte) (messageBytes >> 24), (byte) (messageBytes >> 16), (byte) (messageBytes >> 8), (byte) messageBytes
    };
  }

  private static void header(ByteArrayOutputStream block, String name, String value) {
    block.write(0); // a literal that nobody remembers
    block.write(name.length());
    block.writeBytes(name.getBytes(US_ASCII));
    block.write(value.length());
    block.writeBytes(value.getBytes(US_ASCII));
  }

  private void frame(int type, int flags, int stream, byte[] payload, int length) throws IOException {
    out.writeByte(length >> 16);
    out.writeShort(length);
    out.writeByte(type);
    out.writeByte(flags);
    out.writeInt(stream);
    out.write(payload, 0, length);
  }

  private void read() {
    try {
      DataInputStream in = new DataInputStream(socket.getInputStream());
      while (true) {
        int length = in.readUnsignedByte() << 16 | in.readUnsignedShort();
        int type = in.readUnsignedByte();
        int flags = in.readUnsignedByte();
        int stream = in.readInt();
        byte[] payload = new byte[length];
        in.readFully(payload);
        synchronized (this) {
          take(type, flags, stream, payload);
          notifyAll();
        }
      }
    } catch (IOException e) {
      synchronized (this) {
        closed = true;
        notifyAll();
      }
    }
  }

  private void take(int type, int flags, int stream, byte[] payload) throws IOException {
    switch (type) {
      case SETTINGS -> {
        if ((flags & ACK) != 0) {
          return;
        }
        for (int i = 0; i < payload.length; i += 6) {
          if ((payload[i] << 8 | payload[i + 1]) == 4) {
            long window = number(payload, i + 2);
            long more = window - initialWindow;
            initialWindow = window;
            streamWindows.replaceAll((_, left) -> left + more);
          }
        }
        frame(SETTINGS, ACK, 0, payload, 0);
        out.flush();
      }
      case PING -> {
        if ((flags & ACK) == 0) {
          frame(PING, ACK, 0, payload, payload.length);
          out.flush();
        }
      }
      case WINDOW_UPDATE -> {
        long more = number(payload, 0);
        if (stream == 0) {
          connectionWindow += more;
        } else {
          streamWindows.merge(stream, more, Long::sum);
        }
      }
      case RST_STREAM -> ended.putIfAbsent(stream, "reset " + number(payload, 0));
      case HEADERS -> {
        if ((flags & END_STREAM) != 0) {
          ended.put(stream, new String(payload, US_ASCII));
        }
      }
      case DATA -> {
        if ((flags & END_STREAM) != 0) {
          ended.put(stream, "data");
        }
      }
      default -> {}
    }
  }

  private static long number(byte[] bytes, int at) {
    return (bytes[at] & 0xFFL) << 24 | (bytes[at + 1] & 0xFF) << 16 | (bytes[at + 2] & 0xFF) << 8 | (bytes[at + 3] & 0xFF);
  }

  @Override
  public void close() throws IOException {
    socket.close();
  }
}
