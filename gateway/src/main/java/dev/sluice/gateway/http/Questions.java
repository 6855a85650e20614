package dev.sluice.gateway.http;

import com.google.protobuf.Message;
import dev.sluice.gateway.inference.ModelQueries;
import dev.sluice.gateway.inference.RepositoryRequests;
import dev.sluice.gateway.inference.ServerSettings;
import dev.sluice.gateway.inference.SharedMemory;
import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.LogSettingsRequest;
import dev.sluice.proto.inference.LogSettingsResponse;
import dev.sluice.proto.inference.ModelConfig;
import dev.sluice.proto.inference.ModelConfigRequest;
import dev.sluice.proto.inference.ModelMetadataRequest;
import dev.sluice.proto.inference.ModelReadyRequest;
import dev.sluice.proto.inference.ModelStatisticsRequest;
import dev.sluice.proto.inference.RepositoryIndexRequest;
import dev.sluice.proto.inference.RepositoryIndexResponse;
import dev.sluice.proto.inference.TraceSettingRequest;
import dev.sluice.proto.inference.TraceSettingResponse;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;

/// Every resource but inference: the shared queries' answers in Triton's JSON.
final class Questions {

  private static final List<String> TRACE_ORDER =
      List.of("trace_level", "trace_rate", "trace_count", "log_frequency", "trace_file", "trace_mode");
  private static final List<String> LOG_ORDER =
      List.of("log_file", "log_info", "log_warning", "log_error", "log_verbose_level", "log_format");

  private final ModelQueries queries;
  private final RepositoryRequests requests;
  private final ServerSettings settings;
  private final int bytesMax;

  Questions(ModelQueries queries, RepositoryRequests requests, ServerSettings settings, int bytesMax) {
    this.queries = queries;
    this.requests = requests;
    this.settings = settings;
    this.bytesMax = bytesMax;
  }

  /// @param body what was posted, null for a question that only reads
  void answer(Exchange exchange, Resource resource, RequestBody.@Nullable Bytes body) throws InferenceFailure {
    RequestBody.Bytes said = body == null ? RequestBody.Bytes.NONE : body;
    switch (resource) {
      case Resource.Infer _ -> throw new IllegalArgumentException("inference is not a question");
      case Resource.Live _ -> health(exchange, queries.live().getLive());
      case Resource.Ready _ -> health(exchange, queries.ready().getReady());
      case Resource.ServerMetadata _ -> message(exchange, queries.server());
      case Resource.ModelMetadata(String model, String version) ->
          message(
              exchange,
              queries.metadata(ModelMetadataRequest.newBuilder().setName(model).setVersion(version).build()));
      case Resource.ModelReady(String model, String version) -> {
        if (queries.ready(ModelReadyRequest.newBuilder().setName(model).setVersion(version).build()).getReady()) {
          exchange.empty(HttpStatuses.OK);
        } else {
          exchange.refuse(HttpStatuses.BAD_REQUEST, "Model version not ready");
        }
      }
      case Resource.Configuration(String model, String version) ->
          message(exchange, configuration(model, version));
      case Resource.Index(String repository) -> index(exchange, SettingsReader.index(said, repository));
      case Resource.TraceSetting(String model) -> trace(exchange, SettingsReader.traceSetting(said, model));
      case Resource.Logging _ -> logging(exchange, SettingsReader.logSettings(said));
      case Resource.SharedMemoryStatus(Resource.Memory memory, String region) -> {
        SharedMemory.requireNone(memory.word(), region);
        json(exchange, json -> json.writeStartArray().writeEndArray());
      }
      case Resource.SharedMemoryRegister _ -> throw SharedMemory.refused();
      case Resource.SharedMemoryUnregister(Resource.Memory _, String region) -> {
        SharedMemory.unregister(region);
        exchange.empty(HttpStatuses.OK);
      }
      case Resource.Statistics(String model, String version) -> {
        ModelStatisticsRequest request =
            ModelStatisticsRequest.newBuilder().setName(model).setVersion(version).build();
        message(exchange, queries.statistics(request), MessageJson.Absent.WRITTEN_AS_EMPTY);
      }
      case Resource.Load(String repository, String model) -> {
        requests.load(SettingsReader.load(said, repository, model));
        exchange.empty(HttpStatuses.OK);
      }
      case Resource.Unload(String repository, String model) -> {
        requests.unload(SettingsReader.unload(said, repository, model));
        exchange.empty(HttpStatuses.OK);
      }
    }
  }

  ModelConfig configuration(String model, String version) throws InferenceFailure {
    return queries.config(ModelConfigRequest.newBuilder().setName(model).setVersion(version).build()).getConfig();
  }

  private static void health(Exchange exchange, boolean well) {
    exchange.empty(well ? HttpStatuses.OK : HttpStatuses.BAD_REQUEST);
  }

  /// A list of its own form: what nobody asked for has a name only.
  private void index(Exchange exchange, RepositoryIndexRequest request) throws InferenceFailure {
    RepositoryIndexResponse response = queries.index(request);
    json(
        exchange,
        json -> {
          json.writeStartArray();
          for (RepositoryIndexResponse.ModelIndex model : response.getModelsList()) {
            json.writeStartObject();
            json.writeStringProperty("name", model.getName());
            property("version", model.getVersion(), json);
            property("state", model.getState(), json);
            property("reason", model.getReason(), json);
            json.writeEndObject();
          }
          json.writeEndArray();
        });
  }

  private static void property(String name, String value, JsonGenerator json) {
    if (!value.isEmpty()) {
      json.writeStringProperty(name, value);
    }
  }

  private void trace(Exchange exchange, TraceSettingRequest request) throws InferenceFailure {
    Map<String, TraceSettingResponse.SettingValue> now = settings.traceSetting(request).getSettingsMap();
    json(
        exchange,
        json -> {
          json.writeStartObject();
          for (String name : ordered(TRACE_ORDER, now.keySet())) {
            List<String> values = now.getOrDefault(name, TraceSettingResponse.SettingValue.getDefaultInstance()).getValueList();
            json.writeName(name);
            if (name.equals("trace_level") || values.size() != 1) {
              json.writeStartArray();
              values.forEach(json::writeString);
              json.writeEndArray();
            } else {
              json.writeString(values.getFirst());
            }
          }
          json.writeEndObject();
        });
  }

  private void logging(Exchange exchange, LogSettingsRequest request) throws InferenceFailure {
    Map<String, LogSettingsResponse.SettingValue> now = settings.logSettings(request).getSettingsMap();
    json(
        exchange,
        json -> {
          json.writeStartObject();
          for (String name : ordered(LOG_ORDER, now.keySet())) {
            LogSettingsResponse.SettingValue value =
                now.getOrDefault(name, LogSettingsResponse.SettingValue.getDefaultInstance());
            json.writeName(name);
            switch (value.getParameterChoiceCase()) {
              case BOOL_PARAM -> json.writeBoolean(value.getBoolParam());
              case UINT32_PARAM -> json.writeNumber(Integer.toUnsignedLong(value.getUint32Param()));
              case STRING_PARAM -> json.writeString(value.getStringParam());
              case PARAMETERCHOICE_NOT_SET -> json.writeNull();
            }
          }
          json.writeEndObject();
        });
  }

  /// Triton's order, which a map does not keep; what it does not know comes last.
  private static Set<String> ordered(List<String> order, Set<String> names) {
    Set<String> ordered = new LinkedHashSet<>(order);
    ordered.retainAll(names);
    ordered.addAll(new TreeSet<>(names));
    return ordered;
  }

  private void message(Exchange exchange, Message message) {
    message(exchange, message, MessageJson.Absent.LEFT_OUT);
  }

  private void message(Exchange exchange, Message message, MessageJson.Absent absent) {
    Blocks blocks = MessageJson.write(message, absent, bytesMax);
    exchange.json(HttpStatuses.OK, blocks.buffers(), blocks.size());
  }

  private void json(Exchange exchange, Consumer<JsonGenerator> document) {
    Blocks blocks = new Blocks(bytesMax);
    try (JsonGenerator json = Json.FACTORY.createGenerator(ObjectWriteContext.empty(), blocks)) {
      document.accept(json);
    }
    exchange.json(HttpStatuses.OK, blocks.buffers(), blocks.size());
  }
}
