package dev.sluice.gateway.control;

import dev.sluice.gateway.routing.LiveRollout;
import dev.sluice.gateway.store.AuditEvent;
import dev.sluice.proto.control.v1.AbortRolloutRequest;
import dev.sluice.proto.control.v1.CreateRolloutRequest;
import dev.sluice.proto.control.v1.GetReportRequest;
import dev.sluice.proto.control.v1.GetRolloutRequest;
import dev.sluice.proto.control.v1.Label;
import dev.sluice.proto.control.v1.ListEventsRequest;
import dev.sluice.proto.control.v1.ListEventsResponse;
import dev.sluice.proto.control.v1.ListRolloutsRequest;
import dev.sluice.proto.control.v1.ListRolloutsResponse;
import dev.sluice.proto.control.v1.PauseRolloutRequest;
import dev.sluice.proto.control.v1.PromoteRolloutRequest;
import dev.sluice.proto.control.v1.ReportLabelsRequest;
import dev.sluice.proto.control.v1.ReportLabelsResponse;
import dev.sluice.proto.control.v1.Replay;
import dev.sluice.proto.control.v1.ReplayRolloutRequest;
import dev.sluice.proto.control.v1.ResumeRolloutRequest;
import dev.sluice.proto.control.v1.Rollout;
import dev.sluice.proto.control.v1.RolloutReport;
import dev.sluice.proto.control.v1.RolloutServiceGrpc.RolloutServiceImplBase;
import dev.sluice.proto.control.v1.SetWeightRequest;
import dev.sluice.proto.control.v1.WatchRolloutRequest;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.rollout.RolloutEvent;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// `sluice.control.v1.RolloutService`: one short method a call.
public final class RolloutService extends RolloutServiceImplBase {

  /// How often a watcher sees the evidence anew.
  private static final long WATCH_MILLIS = 200;

  private static final int LABELS_MAX = 10_000;
  private static final int EVENTS_MAX = 1000;

  private final @Nullable RolloutController controller;
  private final String whyNot;
  private final ScheduledExecutorService timer;

  /// @param controller null when the control state cannot be read
  /// @param whyNot what to answer then
  public RolloutService(@Nullable RolloutController controller, String whyNot, ScheduledExecutorService timer) {
    this.controller = controller;
    this.whyNot = whyNot;
    this.timer = timer;
  }

  private interface Command<T> {
    T run() throws ControlFailure;
  }

  @Override
  public void createRollout(CreateRolloutRequest request, StreamObserver<Rollout> out) {
    reply(
        out,
        () -> message(controller().create(request.getNote(), actor(request.getActor()), request.getValidateOnly())));
  }

  @Override
  public void getRollout(GetRolloutRequest request, StreamObserver<Rollout> out) {
    reply(out, () -> controller().message(request.getName()));
  }

  @Override
  public void listRollouts(ListRolloutsRequest request, StreamObserver<ListRolloutsResponse> out) {
    reply(
        out,
        () -> {
          ListRolloutsResponse.Builder response = ListRolloutsResponse.newBuilder();
          long nowMillis = controller().nowMillis();
          controller().list().stream()
              .map(rollout -> RolloutMessages.rollout(rollout, nowMillis))
              .filter(rollout -> request.getModel().isEmpty() || request.getModel().equals(rollout.getModel()))
              .forEach(response::addRollouts);
          return response.build();
        });
  }

  @Override
  public void watchRollout(WatchRolloutRequest request, StreamObserver<Rollout> out) {
    Watch watch = new Watch(request.getName(), (ServerCallStreamObserver<Rollout>) out);
    watch.stream.setOnCancelHandler(watch::end);
    watch.task = timer.scheduleWithFixedDelay(watch, 0, WATCH_MILLIS, TimeUnit.MILLISECONDS);
    if (watch.ended) {
      watch.end(); // it was over before the task was known
    }
  }

  /// One watcher. One that does not keep up sees fewer states, never older ones.
  private final class Watch implements Runnable {
    private final String name;
    private final ServerCallStreamObserver<Rollout> stream;
    private volatile @Nullable ScheduledFuture<?> task;
    private volatile boolean ended;

    Watch(String name, ServerCallStreamObserver<Rollout> stream) {
      this.name = name;
      this.stream = stream;
    }

    void end() {
      ended = true;
      ScheduledFuture<?> running = task;
      if (running != null) {
        running.cancel(false);
      }
    }

    @Override
    public void run() {
      if (ended || !stream.isReady()) {
        return;
      }
      try {
        RolloutView view = controller().get(name);
        stream.onNext(message(view));
        if (view.stored().state().stage().isEnded()) {
          end();
          stream.onCompleted();
        }
      } catch (ControlFailure failure) {
        end();
        stream.onError(ControlStatuses.of(failure));
      } catch (RuntimeException e) {
        end();
        stream.onError(
            ControlStatuses.of(new ControlFailure(ControlFailure.Kind.UNAVAILABLE, "the watch failed: " + e)));
      }
    }
  }

  @Override
  public void setWeight(SetWeightRequest request, StreamObserver<Rollout> out) {
    reply(
        out,
        () -> {
          int weight = request.getWeightBasisPoints();
          if (weight < 0 || weight > Exposure.ALL) {
            throw new ControlFailure(
                ControlFailure.Kind.INVALID_ARGUMENT, "weight: %s %% is not between 0 %% and 100 %%".formatted(weight / 100.0));
          }
          return command(
              request.getName(),
              new RolloutEvent.SetWeight(weight, reason(request.getReason(), "weight set by " + actor(request.getActor()))),
              request.getActor(),
              request.getExpectedRevision());
        });
  }

  @Override
  public void pauseRollout(PauseRolloutRequest request, StreamObserver<Rollout> out) {
    reply(
        out,
        () ->
            command(
                request.getName(),
                new RolloutEvent.Pause(reason(request.getReason(), "paused by " + actor(request.getActor()))),
                request.getActor(),
                request.getExpectedRevision()));
  }

  @Override
  public void resumeRollout(ResumeRolloutRequest request, StreamObserver<Rollout> out) {
    reply(
        out,
        () ->
            command(
                request.getName(),
                new RolloutEvent.Resume(reason(request.getReason(), "resumed by " + actor(request.getActor()))),
                request.getActor(),
                request.getExpectedRevision()));
  }

  @Override
  public void abortRollout(AbortRolloutRequest request, StreamObserver<Rollout> out) {
    reply(
        out,
        () ->
            command(
                request.getName(),
                new RolloutEvent.Abort(reason(request.getReason(), "aborted by " + actor(request.getActor()))),
                request.getActor(),
                0));
  }

  @Override
  public void promoteRollout(PromoteRolloutRequest request, StreamObserver<Rollout> out) {
    reply(
        out,
        () ->
            command(
                request.getName(),
                new RolloutEvent.Promote(reason(request.getReason(), "promoted by " + actor(request.getActor()))),
                request.getActor(),
                request.getExpectedRevision()));
  }

  @Override
  public void reportLabels(ReportLabelsRequest request, StreamObserver<ReportLabelsResponse> out) {
    reply(out, () -> labels(request));
  }

  private ReportLabelsResponse labels(ReportLabelsRequest request) throws ControlFailure {
    if (request.getLabelsCount() > LABELS_MAX) {
      throw new ControlFailure(
          ControlFailure.Kind.INVALID_ARGUMENT,
          "labels: %d of them, at most %d at a time".formatted(request.getLabelsCount(), LABELS_MAX));
    }
    for (Label label : request.getLabelsList()) {
      if (label.getValue() != 0 && label.getValue() != 1) {
        throw new ControlFailure(
            ControlFailure.Kind.INVALID_ARGUMENT,
            "labels: the value of request '%s' is %s; expected 0 or 1".formatted(label.getRequestId(), label.getValue()));
      }
    }
    RolloutView view = controller().get(request.getName());
    LiveRollout live = view.live();
    if (live == null || view.stored().state().stage().isEnded()) {
      throw new ControlFailure(
          ControlFailure.Kind.REFUSED, "rollout '%s' has ended: labels change nothing any more".formatted(request.getName()));
    }
    ReportLabelsResponse.Builder response = ReportLabelsResponse.newBuilder();
    for (Label label : request.getLabelsList()) {
      switch (live.label(label.getRequestId(), label.getValue())) {
        case TAKEN -> response.setTaken(response.getTaken() + 1);
        case KNOWN -> response.setKnown(response.getKnown() + 1);
        case UNKNOWN -> response.setUnknown(response.getUnknown() + 1);
        case null ->
            throw new ControlFailure(
                ControlFailure.Kind.REFUSED,
                "rollout '%s' waits for no labels: its note has no section labels".formatted(request.getName()));
      }
    }
    return response.build();
  }

  @Override
  public void listEvents(ListEventsRequest request, StreamObserver<ListEventsResponse> out) {
    reply(
        out,
        () -> {
          ListEventsResponse.Builder response = ListEventsResponse.newBuilder();
          String rollout = request.getRollout().isEmpty() ? null : request.getRollout();
          for (AuditEvent event : controller().events(rollout, request.getAfterRevision(), EVENTS_MAX)) {
            response.addEvents(RolloutMessages.event(event));
          }
          return response.build();
        });
  }

  @Override
  public void replayRollout(ReplayRolloutRequest request, StreamObserver<Replay> out) {
    reply(out, () -> controller().replay(request.getName()));
  }

  @Override
  public void getReport(GetReportRequest request, StreamObserver<RolloutReport> out) {
    reply(out, () -> controller().report(request.getName()));
  }

  private Rollout command(String name, RolloutEvent event, String actor, long expectedRevision) throws ControlFailure {
    return message(controller().command(name, event, actor(actor), expectedRevision));
  }

  private Rollout message(RolloutView view) throws ControlFailure {
    return RolloutMessages.rollout(view, controller().nowMillis());
  }

  private RolloutController controller() throws ControlFailure {
    if (controller == null) {
      throw new ControlFailure(ControlFailure.Kind.UNAVAILABLE, whyNot);
    }
    return controller;
  }

  private static String actor(String given) {
    return given.isEmpty() ? "unnamed" : given;
  }

  private static String reason(String given, String otherwise) {
    return given.isEmpty() ? otherwise : given;
  }

  private static <T> void reply(StreamObserver<T> out, Command<T> command) {
    T message;
    try {
      message = command.run();
    } catch (ControlFailure failure) {
      out.onError(ControlStatuses.of(failure));
      return;
    }
    out.onNext(message);
    out.onCompleted();
  }
}
