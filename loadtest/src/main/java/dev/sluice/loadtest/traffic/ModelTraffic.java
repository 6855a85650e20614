package dev.sluice.loadtest.traffic;

import io.grpc.Metadata;
import java.util.List;

/// Prepared messages sent in turn, each by the next caller.
public record ModelTraffic(List<byte[]> messages, Callers callers) implements Traffic {
  public ModelTraffic {
    messages = List.copyOf(messages);
    if (messages.isEmpty()) {
      throw new InvalidTrafficException("no payload to send: expected at least one");
    }
  }

  @Override
  public byte[] message(long n) {
    return messages.get((int) (n % messages.size()));
  }

  @Override
  public void addMetadata(long n, Metadata headers) {
    callers.addMetadata(n, headers);
  }
}
