package dev.sluice.gateway.http;

import dev.sluice.gateway.routing.InferenceFailure;
import dev.sluice.proto.inference.LogSettingsRequest;
import dev.sluice.proto.inference.ModelRepositoryParameter;
import dev.sluice.proto.inference.RepositoryIndexRequest;
import dev.sluice.proto.inference.RepositoryModelLoadRequest;
import dev.sluice.proto.inference.RepositoryModelUnloadRequest;
import dev.sluice.proto.inference.TraceSettingRequest;
import java.util.function.BiConsumer;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;

/// The small documents: what a client posts besides inference requests. An empty body is a document that says nothing.
final class SettingsReader {

  private SettingsReader() {}

  static RepositoryIndexRequest index(RequestBody.Bytes body, String repository) throws InferenceFailure {
    RepositoryIndexRequest.Builder request = RepositoryIndexRequest.newBuilder().setRepositoryName(repository);
    read(
        body,
        parser ->
            JsonWalk.members(
                parser,
                name -> {
                  if (name.equals("ready")) {
                    request.setReady(JsonWalk.truth(parser));
                  } else {
                    parser.skipChildren();
                  }
                }));
    return request.build();
  }

  static RepositoryModelLoadRequest load(RequestBody.Bytes body, String repository, String model)
      throws InferenceFailure {
    RepositoryModelLoadRequest.Builder request =
        RepositoryModelLoadRequest.newBuilder().setRepositoryName(repository).setModelName(model);
    repositoryParameters(body, request::putParameters);
    return request.build();
  }

  static RepositoryModelUnloadRequest unload(RequestBody.Bytes body, String repository, String model)
      throws InferenceFailure {
    RepositoryModelUnloadRequest.Builder request =
        RepositoryModelUnloadRequest.newBuilder().setRepositoryName(repository).setModelName(model);
    repositoryParameters(body, request::putParameters);
    return request.build();
  }

  private static void repositoryParameters(
      RequestBody.Bytes body, BiConsumer<String, ModelRepositoryParameter> parameters) throws InferenceFailure {
    read(
        body,
        parser ->
            JsonWalk.members(
                parser,
                name -> {
                  if (name.equals("parameters")) {
                    JsonWalk.members(parser, parameter -> parameters.accept(parameter, repositoryParameter(parser)));
                  } else {
                    parser.skipChildren();
                  }
                }));
  }

  private static ModelRepositoryParameter repositoryParameter(JsonParser parser) throws InferenceFailure {
    ModelRepositoryParameter.Builder value = ModelRepositoryParameter.newBuilder();
    switch (parser.currentToken()) {
      case VALUE_TRUE -> value.setBoolParam(true);
      case VALUE_FALSE -> value.setBoolParam(false);
      case VALUE_STRING -> value.setStringParam(parser.getString());
      default -> throw Json.wrong(parser, "", "a string or a boolean");
    }
    return value.build();
  }

  /// A setting that is null is cleared.
  static TraceSettingRequest traceSetting(RequestBody.Bytes body, String model) throws InferenceFailure {
    TraceSettingRequest.Builder request = TraceSettingRequest.newBuilder().setModelName(model);
    read(
        body,
        parser ->
            JsonWalk.everyMember(
                parser,
                name -> {
                  TraceSettingRequest.SettingValue.Builder value = TraceSettingRequest.SettingValue.newBuilder();
                  if (parser.currentToken() == JsonToken.START_ARRAY) {
                    JsonWalk.items(parser, () -> value.addValue(JsonWalk.text(parser)));
                  } else if (parser.currentToken() != JsonToken.VALUE_NULL) {
                    value.addValue(JsonWalk.text(parser));
                  }
                  request.putSettings(name, value.build());
                }));
    return request.build();
  }

  static LogSettingsRequest logSettings(RequestBody.Bytes body) throws InferenceFailure {
    LogSettingsRequest.Builder request = LogSettingsRequest.newBuilder();
    read(
        body,
        parser -> JsonWalk.members(parser, name -> request.putSettings(name, logSetting(parser))));
    return request.build();
  }

  private static LogSettingsRequest.SettingValue logSetting(JsonParser parser) throws InferenceFailure {
    LogSettingsRequest.SettingValue.Builder value = LogSettingsRequest.SettingValue.newBuilder();
    switch (parser.currentToken()) {
      case VALUE_TRUE -> value.setBoolParam(true);
      case VALUE_FALSE -> value.setBoolParam(false);
      case VALUE_STRING -> value.setStringParam(parser.getString());
      case VALUE_NUMBER_INT -> {
        boolean fits =
            parser.getNumberType() != JsonParser.NumberType.BIG_INTEGER
                && parser.getLongValue() >= 0
                && parser.getLongValue() <= 0xFFFF_FFFFL;
        if (!fits) {
          throw Json.wrong(parser, "", "an unsigned integer of 32 bits");
        }
        value.setUint32Param((int) parser.getLongValue());
      }
      default -> throw Json.wrong(parser, "", "a boolean, an integer or a string");
    }
    return value.build();
  }

  private interface Document {
    void read(JsonParser parser) throws InferenceFailure;
  }

  private static void read(RequestBody.Bytes body, Document document) throws InferenceFailure {
    if (body.length() == 0) {
      return;
    }
    try (JsonParser parser = Json.FACTORY.createParser(ObjectReadContext.empty(), body.array(), 0, body.length())) {
      parser.nextToken();
      document.read(parser);
      if (parser.nextToken() != null) {
        throw InferenceFailure.invalid("failed to parse the request JSON buffer: something follows the document");
      }
    } catch (JacksonException e) {
      throw Json.unreadable(e);
    }
  }
}
