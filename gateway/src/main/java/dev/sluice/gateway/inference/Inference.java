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
import dev.sluice.runtime.model.Signature;
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

  /// Where a request ends: exactly one of the two is called, exactly once, on any thread.
  public interface Reply {

    void send(ModelInferResponse response);

    void fail(InferenceFailure failure);
  }

  /// Answers a request, now or later; never throws. The request is read until then and never changed.
  public void infer(ModelInferRequest request, CallerAttributes caller, CallLifetime lifetime, Reply reply) {
    long startedNanos = System.nanoTime();
    try {
      if (state.get() == ServerState.EXITING) {
        throw shuttingDown();
      }
      Route route = routes.find(request.getModelName(), request.getModelVersion());
      Signature signature = route.version().signature();
      RequestParameters parameters = RequestParameters.of(request);
      InferenceRequest checked =
          new InferenceRequest(
              request.getId(),
              TensorCodec.inputs(request, signature),
              TensorCodec.outputs(request, signature),
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
      log.error("a request for model '{}' failed in the gateway itself", request.getModelName(), e);
      reply.fail(
          new InferenceFailure(InferenceFailure.Kind.EXECUTION_FAILED, "the gateway failed on this request: " + e));
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

  private boolean typedOutput(ModelInferRequest request, RequestParameters parameters) {
    Boolean asked = parameters.typedOutput();
    return asked != null ? asked : mirrorsTyped && TensorCodec.isTyped(request);
  }

  private final class ResponseWriter implements Responder {
    private final ModelInferRequest request;
    private final Route route;
    private final boolean typed;
    private final Reply reply;

    ResponseWriter(ModelInferRequest request, Route route, boolean typed, Reply reply) {
      this.request = request;
      this.route = route;
      this.typed = typed;
      this.reply = reply;
    }

    @Override
    public void answer(Answer answer) {
      ModelInferResponse response;
      try {
        response = response(answer);
      } catch (InferenceFailure failure) {
        fail(failure);
        return;
      } catch (RuntimeException | Error e) {
        // Too large for a message, or for the heap: the caller must still learn that there is no answer.
        fail(new InferenceFailure(InferenceFailure.Kind.EXECUTION_FAILED, "the answer could not be written: " + e));
        return;
      }
      reply.send(response);
    }

    private ModelInferResponse response(Answer answer) throws InferenceFailure {
      ModelInferResponse.Builder response =
          ModelInferResponse.newBuilder()
              .setModelName(request.getModelName())
              .setModelVersion(Long.toString(answer.version()))
              .setId(request.getId());
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
      if (!TensorCodec.wantsClasses(request)) {
        return answer.outputs();
      }
      ModelVersion version = answered(answer.version());
      List<Tensor> classified = new ArrayList<>(answer.outputs());
      for (int i = 0; i < classified.size(); i++) {
        Tensor output = classified.get(i);
        long classes = TensorCodec.classes(request, i);
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
        return routes.find(request.getModelName(), Long.toString(version)).version();
      } catch (InferenceFailure unloaded) {
        return route.version();
      }
    }

    @Override
    public void fail(InferenceFailure failure) {
      reply.fail(
          failure.kind() == InferenceFailure.Kind.OVERLOADED
              ? failure.after(TensorCodec.prefix(request))
              : failure);
    }

    private static InferParameter text(String value) {
      return InferParameter.newBuilder().setStringParam(value).build();
    }
  }
}
