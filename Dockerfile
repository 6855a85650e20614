# syntax=docker/dockerfile:1
# Builds Sluice from this tree, and an image that serves the models mounted at /models:
#
#   docker build -t sluice .
#   docker run --rm -p 8000:8000 -p 8001:8001 -p 8002:8002 -v "$PWD/models:/models:ro" --name sluice sluice
#   docker exec sluice sluice rollout list

FROM eclipse-temurin:25-jdk AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.m2 ./mvnw --batch-mode -q -DskipTests package

# glibc, not musl: the native parts of ONNX Runtime and protobuf are built for it.
FROM eclipse-temurin:25-jre
RUN useradd --system --uid 10001 --home-dir /var/lib/sluice --create-home --shell /usr/sbin/nologin sluice \
    && mkdir /models
COPY --from=build /src/gateway/target/dist/lib/ /opt/sluice/lib/
# The control API listens on loopback, so rollouts are steered by `docker exec`: the command has to be on the PATH.
# A wildcard, not a list of jars: the Java binding of ONNX Runtime crashes the JVM on a command line of over 4 kB.
COPY --chmod=755 <<'EOF' /usr/local/bin/sluice
#!/bin/sh
exec java \
  --enable-native-access=ALL-UNNAMED \
  --sun-misc-unsafe-memory-access=allow \
  -XX:+UseCompactObjectHeaders \
  -XX:+UseG1GC \
  -XX:MaxRAMPercentage=30 \
  -Xlog:disable -Xlog:all=warning,aot*=off,cds*=off:stderr \
  "${SLUICE_AOT_OPTION:--XX:AOTCache=/opt/sluice/sluice.aot}" \
  ${SLUICE_NATIVES:+"-Donnxruntime.native.path=$SLUICE_NATIVES"} \
  ${SLUICE_JAVA_OPTS:-} \
  -cp '/opt/sluice/lib/*' dev.sluice.gateway.Main "$@"
EOF
# Serves a model to itself for some seconds, so that what the JVM learns of it makes every start of the image fast.
RUN SLUICE_AOT_OPTION=-XX:AOTCacheOutput=/opt/sluice/sluice.aot sluice prepare

USER 10001
WORKDIR /var/lib/sluice
EXPOSE 8000 8001 8002 8003
VOLUME /models
ENTRYPOINT ["sluice"]
CMD ["serve", "--model-repository", "/models"]
