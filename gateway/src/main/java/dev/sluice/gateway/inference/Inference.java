package dev.sluice.gateway.inference;

import dev.sluice.gateway.metrics.GatewayMetrics;
import dev.sluice.gateway.routing.Answer;
import dev.sluice.gateway.routing.CallLifetime;
import dev.sluice.gateway.routing.CallerAttributes;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.gateway.routing.InferenceRequest;
import dev.sluice.gateway.routing.InferenceRouter;
import dev.sluice.gateway.routing.Responder;
import dev.sluice.gateway.routing.Route;
import dev.sluice.gateway.routing.Routes;
import dev.sluice.proto.inference.InferParameter;
import dev.sluice.proto.inference.ModelInferRequest;
import dev.sluice.proto.inference.ModelInferResponse;
import dev.sluice.runtime.model.ModelVersion;
import dev.sluice.runtime.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// The way of one request below every wire: its route, its checks, its run, its response.
public final class Inference {

  /// Response parameters.
  static final String VARIANT_PARAMETER = "sluice_variant";

  static final String FALLBACK_PARAMETER = "sluice_fallback";

  private static final Logger log = LoggerFactory.getLogger(Inference.class);

  private final Routes routes;
  private final InferenceRouter router;
  private final GatewayMetrics metrics;
  private final Supplier<ServerState> state;
  private final boolean mirrorsTyped;

  /// @param mirrorsTyped whether a request in typed contents is answered in typed contents, unless it says otherwise
  public Inference(
      Routes routes,
      InferenceRouter router,
      GatewayMetrics metrics,
      Supplier<ServerState> state,
      boolean mirrorsTyped) {
    this.mirrorsTyped = mirrorsTyped;
    this.routes = routes;
    this.router = router;
    this.metrics = metrics;
    this.state = state;
  }

  /// Where a request ends: exactly one of its methods is called, exactly once, on any thread.
  public interface Reply {

    void send(ModelInferResponse response);

    void fail(InferenceFailure failure);
  }

  /// One that can send an answer in raw contents without a message.
  interface WireReply extends Reply {

    void send(WireAnswer answer);
  }

  /// Answers a request, now or later; never throws. The request is read until then and never changed.
  public void infer(ModelInferRequest request, CallerAttributes caller, CallLifetime lifetime, Reply reply) {
    infer(InferMessage.of(request), caller, lifetime, reply);
  }

  /// @param request its memory is held by the caller, and let go here
  void infer(InferMessage request, CallerAttributes caller, CallLifetime lifetime, Reply reply) {
    long startedNanos = System.nanoTime();
    try {
      if (state.get() == ServerState.EXITING) {
        throw shuttingDown();
      }
      Route route = routes.find(request.modelName(), request.modelVersion());
      RequestParameters parameters = RequestParameters.of(request.parameters());
      InferMessage.Checked tensors = request.check(route.version().signature());
      InferenceRequest checked =
          new InferenceRequest(
              request.id(),
              tensors.inputs(),
              request.memory(),
              tensors.outputs(),
              parameters.priority(),
              parameters.timeoutNanos(),
              caller,
              lifetime,
              startedNanos);
      router.infer(route, checked, new ResponseWriter(request, route, typedOutput(request, parameters), reply));
    } catch (InferenceFailure failure) {
      metrics.refused(failure.kind().name());
      reply.fail(failure);
    } catch (RuntimeException e) {
      log.error("a request for model '{}' failed in the gateway itself", request.modelName(), e);
      reply.fail(
          new InferenceFailure(InferenceFailure.Kind.EXECUTION_FAILED, "the gateway failed on this request: " + e));
    } finally {
      request.memory().release();
    }
  }

  /// Counts a request that its face could not read.
  public void refused(InferenceFailure failure) {
    metrics.refused(failure.kind().name());
  }

  static InferenceFailure shuttingDown() {
    return new InferenceFailure(
        InferenceFailure.Kind.SHUTTING_DOWN, "GRPC server is shutting down and has stopped accepting new requests.");
  }

  private boolean typedOutput(InferMessage request, RequestParameters parameters) {
    Boolean asked = parameters.typedOutput();
    return asked != null ? asked : mirrorsTyped && request.isTyped();
  }

  private final class ResponseWriter implements Responder {
    private final InferMessage request;
    private final Route route;
    private final boolean typed;
    private final Reply reply;

    ResponseWriter(InferMessage request, Route route, boolean typed, Reply reply) {
      this.request = request;
      this.route = route;
      this.typed = typed;
      this.reply = reply;
    }

    @Override
    public void answer(Answer answer) {
      if (reply instanceof WireReply wire && !typed && !request.wantsClasses()) {
        answer(answer, wire);
      } else {
        answerWithMessage(answer);
      }
    }

    private void answer(Answer answer, WireReply wire) {
      WireAnswer response;
      try {
        response = new WireAnswer(request.modelName(), request.id(), answer);
      } catch (RuntimeException e) {
        fail(unwritable(e));
        return;
      }
      wire.send(response);
    }

    private void answerWithMessage(Answer answer) {
      ModelInferResponse response;
      try {
        response = response(answer);
      } catch (InferenceFailure failure) {
        fail(failure);
        return;
      } catch (RuntimeException | Error e) {
        fail(unwritable(e));
        return;
      }
      reply.send(response);
    }

    /// Too large for a message, or for the heap: the caller must still learn that there is no answer.
    private static InferenceFailure unwritable(Throwable e) {
      return new InferenceFailure(InferenceFailure.Kind.EXECUTION_FAILED, "the answer could not be written: " + e);
    }

    private ModelInferResponse response(Answer answer) throws InferenceFailure {
      ModelInferResponse.Builder response =
          ModelInferResponse.newBuilder()
              .setModelName(request.modelName())
              .setModelVersion(Long.toString(answer.version()))
              .setId(request.id());
      if (answer.variant() != null) {
        response.putParameters(VARIANT_PARAMETER, text(answer.variant().label()));
      }
      if (answer.fallback() != null) {
        response.putParameters(FALLBACK_PARAMETER, text(answer.fallback().label()));
      }
      TensorCodec.write(classified(answer), typed, response);
      return response.build();
    }

    /// The answer's outputs, those that are wanted as classes ranked.
    private List<Tensor> classified(Answer answer) throws InferenceFailure {
      if (!request.wantsClasses()) {
        return answer.outputs();
      }
      ModelVersion version = answered(answer.version());
      List<Tensor> classified = new ArrayList<>(answer.outputs());
      for (int i = 0; i < classified.size(); i++) {
        Tensor output = classified.get(i);
        long classes = TensorCodec.classes(request.message(), i);
        if (classes > 0) {
          List<String> labels = version.profile().labels().getOrDefault(output.name(), List.of());
          boolean batched = version.signature().maxBatchSize() > 0;
          classified.set(i, Classification.of(output, batched, classes, labels));
        }
      }
      return classified;
    }

    /// The version that answered; the route's, should that one have been unloaded since.
    private ModelVersion answered(long version) {
      if (version == route.version().version()) {
        return route.version();
      }
      try {
        return routes.find(request.modelName(), Long.toString(version)).version();
      } catch (InferenceFailure unloaded) {
        return route.version();
      }
    }

    @Override
    public void fail(InferenceFailure failure) {
      reply.fail(
          failure.kind() == InferenceFailure.Kind.OVERLOADED
              ? failure.after(TensorCodec.prefix(request.id()))
              : failure);
    }

    private static InferParameter text(String value) {
      return InferParameter.newBuilder().setStringParam(value).build();
    }
  }
}
