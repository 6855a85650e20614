package dev.sluice.gateway.rpc;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.sluice.gateway.admission.ByteBudget;
import io.grpc.Attributes;
import io.grpc.Context;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerStreamTracer;
import io.grpc.ServerTransportFilter;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.ArrayDeque;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongFieldUpdater;
import org.jspecify.annotations.Nullable;

/// Keeps the messages of all calls within a budget of bytes, as they arrive.
///
/// gRPC collects a message before anybody sees it, so many large ones at once would fill the memory without a call having been
/// refused. Here their bytes are counted as they come off the wire, and when the budget is spent the call that has collected most
/// of a message is refused: a caller of small messages does not suffer from those of large ones. A message counts until its answer
/// is sent, with what it unfolds to if it came compressed, an answer until it has left. Answers are never refused, but while they lie here nothing large is let in, and a
/// connection whose client does not read them gets no new call.
///
/// The first kilobytes of a message are free and touch nothing that calls share. A piece of a message costs something by itself,
/// since whoever sends single bytes makes the server keep a buffer for each.
public final class MessageBudget extends ServerStreamTracer.Factory implements ServerInterceptor {

  /// What refused calls are told and counted by.
  public static final String REASON = "TOO_MANY_BYTES";

  /// Of each message, and of each call's answers.
  static final int FREE_BYTES = 16 << 10;

  /// What a piece takes beside its bytes: its buffer's headers and the rest of the memory that it pins.
  static final int PIECE_BYTES = 256;

  /// What a compressed message unfolds to is taken in such pieces.
  private static final int UNFOLDED_PIECE_BYTES = 64 << 10;

  private static final Context.Key<Call> CALL = Context.key("sluice-message-budget");

  /// Of the budget, for answers that one connection's client has not taken: always, and while the budget is spent.
  private static final int UNREAD_SHARE = 8;

  private static final int UNREAD_SHARE_WHEN_SPENT = 64;

  private static final String UNREAD_SENTENCE = "the client of this connection does not read its answers";

  private static final Attributes.Key<AtomicLong> UNREAD = Attributes.Key.create("sluice-unread-bytes");

  /// What is collected is mostly uploads under way: they take as long as their network does.
  private static final Duration RETRY_DELAY = Duration.newBuilder().setNanos(500_000_000).build();

  private final ByteBudget budget;
  private final Runnable onRefused;

  /// Calls that have taken of the budget for a message that is not complete.
  private final Set<Call> collecting = ConcurrentHashMap.newKeySet();

  /// @param onRefused called for each call that is refused
  public MessageBudget(ByteBudget budget, Runnable onRefused) {
    this.budget = budget;
    this.onRefused = onRefused;
  }

  @Override
  public ServerStreamTracer newServerStreamTracer(String fullMethodName, Metadata headers) {
    return new Call();
  }

  @Override
  public <ReqT, RespT> ServerCall.Listener<ReqT> interceptCall(
      ServerCall<ReqT, RespT> call, Metadata headers, ServerCallHandler<ReqT, RespT> next) {
    Call counted = CALL.get();
    if (counted == null) {
      return next.startCall(call, headers); // its transport counts nothing
    }
    AtomicLong unread = call.getAttributes().get(UNREAD);
    if (unread != null && isTooMuch(unread.get())) {
      onRefused.run();
      call.close(
          status(UNREAD_SENTENCE), details(UNREAD_SENTENCE));
      return new ServerCall.Listener<>() {};
    }
    counted.unread = unread;
    ServerCall.Listener<ReqT> service = next.startCall(call, headers);
    counted.service = service;
    counted.call = call;
    return new SimpleForwardingServerCallListener<>(service) {
      @Override
      public void onMessage(ReqT message) {
        if (!counted.isRefused()) {
          super.onMessage(message);
        }
      }

      @Override
      public void onHalfClose() {
        if (!counted.isRefused()) {
          super.onHalfClose();
        }
      }

      @Override
      public void onReady() {
        counted.answersLeft();
        super.onReady();
      }
    };
  }

  private boolean isTooMuch(long unread) {
    return unread > budget.bytesMax() / UNREAD_SHARE
        || (unread > budget.bytesMax() / UNREAD_SHARE_WHEN_SPENT && budget.taken() > budget.bytesMax());
  }

  /// To be added to the server's, so that each connection has its count.
  public ServerTransportFilter connections() {
    return new ServerTransportFilter() {
      @Override
      public Attributes transportReady(Attributes transport) {
        return transport.toBuilder().set(UNREAD, new AtomicLong()).build();
      }
    };
  }

  private String sentence() {
    return "the gateway holds as many bytes of requests as it may, " + budget.bytesMax();
  }

  private static Status status(String sentence) {
    return Status.UNAVAILABLE.withDescription(sentence);
  }

  private static Metadata details(String sentence) {
    Metadata details =
        StatusProto.toStatusRuntimeException(
                com.google.rpc.Status.newBuilder()
                    .setCode(Code.UNAVAILABLE_VALUE)
                    .setMessage(sentence)
                    .addDetails(
                        Any.pack(ErrorInfo.newBuilder().setDomain("sluice.dev").setReason(REASON).build()))
                    .addDetails(Any.pack(RetryInfo.newBuilder().setRetryDelay(RETRY_DELAY).build()))
                    .build())
            .getTrailers();
    return details == null ? new Metadata() : details;
  }

  /// One call's messages. Bytes come in on its connection's thread, answers leave from any.
  private final class Call extends ServerStreamTracer {

    /// What a complete message has taken.
    private record Message(int number, long taken) {}

    private static final long REFUSED = -1;
    private static final long ENDED = -1;

    // A call of small messages is one object, and these stay at 0.
    private static final AtomicLongFieldUpdater<Call> UNREAD_HERE =
        AtomicLongFieldUpdater.newUpdater(Call.class, "unreadHere");
    private static final AtomicLongFieldUpdater<Call> TAKEN = AtomicLongFieldUpdater.newUpdater(Call.class, "taken");
    private static final AtomicLongFieldUpdater<Call> HELD = AtomicLongFieldUpdater.newUpdater(Call.class, "held");

    // Written in this order, both or none.
    private ServerCall.@Nullable Listener<?> service;
    private volatile @Nullable ServerCall<?, ?> call;

    // Of the connection's thread.
    private long collected;

    /// The message that is being read, if it came compressed; else below 0.
    private int unfoldedNumber = -1;

    private long unfolded;
    private long unfoldedTaken;

    // Of whoever answers.
    private long answered;

    private @Nullable AtomicLong unread;
    @SuppressWarnings("UnusedVariable") // by its updater alone
    private volatile long unreadHere;

    /// Taken for the message that is being collected, or [#REFUSED]. Whoever moves it away from a number above 0 decides: the
    /// connection's thread that the message is complete, or any other that it is refused.
    private volatile long taken;

    /// Taken for all messages and answers together, or [#ENDED].
    private volatile long held;

    /// Null until there is one. Guarded by the call itself.
    private @Nullable ArrayDeque<Message> large;

    private volatile boolean hasLarge;

    private boolean isRefused() {
      return taken == REFUSED;
    }

    @Override
    public Context filterContext(Context context) {
      return context.withValue(CALL, this);
    }

    @Override
    public void inboundWireSize(long bytes) {
      long before = collected;
      collected = before + bytes + PIECE_BYTES;
      if (collected > FREE_BYTES) {
        collect(collected - Math.max(before, FREE_BYTES));
      }
    }

    private void collect(long count) {
      if (isRefused()) {
        return;
      }
      while (!budget.tryTake(count, held)) {
        Call largest = this;
        for (Call other : collecting) {
          if (other.taken > largest.taken) {
            largest = other;
          }
        }
        largest.refuse(largest == this);
        if (isRefused()) {
          return;
        }
      }
      hold(count);
      while (true) {
        long before = taken;
        if (before == REFUSED) {
          release(count);
          return;
        }
        if (TAKEN.compareAndSet(this, before, before + count)) {
          if (before == 0) {
            collecting.add(this);
          }
          return;
        }
      }
    }

    private void hold(long count) {
      while (true) {
        long before = held;
        if (before < 0) {
          budget.giveBack(count); // the call has ended meanwhile
          return;
        }
        if (HELD.compareAndSet(this, before, before + count)) {
          return;
        }
      }
    }

    /// From any call's thread. Once the message is complete, it is the service's, and nothing happens.
    ///
    /// @param mine whether it is this call's own thread, which may have found no room to begin with
    private void refuse(boolean mine) {
      collecting.remove(this);
      ServerCall<?, ?> open = call;
      long before = taken;
      if (open == null || before < 0 || (before == 0 && !mine)) {
        return;
      }
      if (!TAKEN.compareAndSet(this, before, REFUSED)) {
        if (taken > 0) {
          collecting.add(this); // it has taken more meanwhile
        }
        return;
      }
      release(before);
      onRefused.run();
      ServerCall.Listener<?> told = service;
      if (told != null) {
        told.onCancel(); // a stream may have answers on their way, and a call that is closed takes none
      }
      String sentence = sentence();
      try {
        open.close(status(sentence), details(sentence));
      } catch (IllegalStateException closed) {
        // Its service was first; what it had taken is free all the same.
      }
    }

    @Override
    public void inboundMessageRead(int number, long wireBytes, long bytes) {
      collected = 0;
      unfoldedNumber = bytes < 0 ? number : -1;
      unfolded = 0;
      unfoldedTaken = FREE_BYTES;
      long complete = taken;
      if (complete <= 0) {
        return;
      }
      collecting.remove(this);
      if (TAKEN.compareAndSet(this, complete, 0)) {
        keepUntilAnswered(new Message(number, complete));
      }
    }

    private synchronized void keepUntilAnswered(Message message) {
      if (large == null) {
        large = new ArrayDeque<>(1);
      }
      large.add(message);
      hasLarge = true;
    }

    /// Of a compressed message this is told as it is read, of any other at once.
    ///
    /// @throws StatusRuntimeException to whoever reads it, if there is no room for more
    @Override
    public void inboundUncompressedSize(long bytes) {
      if (unfoldedNumber < 0) {
        return;
      }
      unfolded += bytes;
      if (unfolded <= unfoldedTaken) {
        return;
      }
      long count = Math.max(unfolded - unfoldedTaken, UNFOLDED_PIECE_BYTES);
      if (!budget.tryTake(count, held)) {
        onRefused.run();
        String sentence = sentence();
        throw new StatusRuntimeException(status(sentence), details(sentence));
      }
      unfoldedTaken += count;
      hold(count);
      keepUntilAnswered(new Message(unfoldedNumber, count));
    }

    @Override
    public void outboundMessage(int number) {
      while (hasLarge) {
        Message first;
        synchronized (this) {
          first = large == null ? null : large.peek();
          if (large == null || first == null || first.number() > number) {
            return;
          }
          large.remove();
          hasLarge = !large.isEmpty();
        }
        release(first.taken());
      }
    }

    @Override
    public void outboundWireSize(long bytes) {
      long before = answered;
      answered = before + bytes;
      if (answered > FREE_BYTES) {
        ServerCall<?, ?> open = call;
        if (open != null && open.isReady()) {
          answersLeft();
        }
        long count = answered - Math.max(before, FREE_BYTES);
        budget.takeAnyway(count);
        hold(count);
        AtomicLong connection = unread;
        if (connection != null && held != ENDED) {
          connection.addAndGet(count);
          UNREAD_HERE.addAndGet(this, count);
          if (held == ENDED) {
            connection.addAndGet(-UNREAD_HERE.getAndSet(this, 0));
          }
        }
      }
    }

    /// All but some kilobytes of what was answered so far: the transport takes more again.
    private void answersLeft() {
      AtomicLong connection = unread;
      long count = UNREAD_HERE.getAndSet(this, 0);
      if (connection != null && count > 0) {
        connection.addAndGet(-count);
        release(count);
      }
    }

    private void release(long count) {
      while (true) {
        long before = held;
        if (before < 0) {
          return; // all of it was given back at the end
        }
        if (HELD.compareAndSet(this, before, before - count)) {
          budget.giveBack(count);
          return;
        }
      }
    }

    @Override
    public void streamClosed(Status status) {
      collecting.remove(this);
      budget.giveBack(Math.max(0, HELD.getAndSet(this, ENDED)));
      AtomicLong connection = unread;
      if (connection != null) {
        connection.addAndGet(-UNREAD_HERE.getAndSet(this, 0));
      }
    }
  }
}
