package dev.sluice.runtime.source;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.source.SourceSettings.Patience;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(60)
class ModelSourcesTest {
  private static final Patience PATIENCE =
      new Patience(Duration.ofSeconds(5), Duration.ofMillis(300), Duration.ofSeconds(20), 3, Duration.ofMillis(1));
  private static final S3Settings NO_S3 = S3Settings.fromEnvironment(Map.of());

  @TempDir private Path folder;

  @SuppressWarnings("NullAway.Init") // before each test
  private FileServer server;

  @BeforeEach
  void start() throws IOException {
    server = FileServer.plain();
  }

  @AfterEach
  void stop() {
    server.close();
  }

  // --- what is fetched ----------------------------------------------------------------------------------------------

  @Test
  void aVersionWithoutSourceIsWhereItIs() throws Exception {
    Path version = Files.createDirectories(folder.resolve("repository/m/1"));
    Files.write(version.resolve("model.onnx"), bytes(10));
    try (ModelSources sources = sources();
        HeldFolder held = sources.resolve(version, "m", 1)) {
      assertThat(held.folder()).isEqualTo(version);
    }
    assertThat(folder.resolve("cache")).doesNotExist();
  }

  @Test
  void filesAreFetchedOnceAndServedFromTheCacheFromThenOn() throws Exception {
    byte[] model = bytes(300_000);
    byte[] weights = bytes(50);
    server.file("/a/model-7.onnx", model).file("/a/weights", weights);
    Path version =
        version("m", 7, line(model, server.url("/a/model-7.onnx")), line(weights, server.url("/a/weights"), "w.bin"));

    for (int run = 0; run < 2; run++) {
      try (ModelSources sources = sources()) {
        for (int load = 0; load < 2; load++) {
          try (HeldFolder held = sources.resolve(version, "m", 7)) {
            assertThat(held.folder()).endsWithRaw(Path.of("m/7"));
            assertThat(held.folder().resolve("model.onnx")).hasBinaryContent(model);
            assertThat(held.folder().resolve("w.bin")).hasBinaryContent(weights);
          }
        }
      }
    }
    assertThat(server.requests()).containsExactly("/a/model-7.onnx", "/a/weights");
  }

  @Test
  void aFileOfThisMachineIsCopied() throws Exception {
    byte[] model = bytes(10);
    Path file = Files.write(folder.resolve("a file"), model);
    try (ModelSources sources = sources();
        HeldFolder held = sources.resolve(version("m", 1, line(model, file.toUri().toString())), "m", 1)) {
      Files.delete(file);
      assertThat(held.folder().resolve("model.onnx")).hasBinaryContent(model);
    }
    assertThat(failure(version("n", 1, line(bytes(9), file.toUri().toString()))))
        .isEqualTo("n/1/model.source, line 1: 'file:%s' does not exist".formatted(file));
    assertThat(failure(version("n", 2, line(bytes(9), folder.toUri().toString())))).contains("is not a regular file");
    assertThat(failure(version("n", 3, line(model, "file:model.onnx")))).contains("is not an absolute path");
  }

  @Test
  void theSameFileIsDownloadedOnceForTwoVersions() throws Exception {
    byte[] weights = bytes(1000);
    byte[] first = bytes(20);
    byte[] second = bytes(21);
    server.file("/weights", weights).file("/1", first).file("/2", second);
    try (ModelSources sources = sources();
        HeldFolder one =
            sources.resolve(
                version("m", 1, line(first, server.url("/1")), line(weights, server.url("/weights"), "w")), "m", 1);
        HeldFolder two =
            sources.resolve(
                version(
                    "m", 2, line(second, server.url("/2")), line(weights, server.url("/weights"), "w"),
                    line(weights, server.url("/weights"), "again")),
                "m", 2)) {
      assertThat(two.folder().resolve("w")).hasBinaryContent(weights);
      assertThat(two.folder().resolve("again")).hasBinaryContent(weights);
      // Not a link: what is done to one version's files must not be done to the other's.
      Files.write(one.folder().resolve("w"), bytes(5));
      assertThat(two.folder().resolve("w")).hasBinaryContent(weights);
    }
    assertThat(server.requests()).containsExactly("/1", "/weights", "/2");
  }

  @Test
  void loadsAtTheSameTimeDownloadOnce() throws Exception {
    byte[] model = bytes(500_000);
    CountDownLatch asked = new CountDownLatch(1);
    server.on(
        "/m",
        exchange -> {
          asked.countDown();
          FileServer.send(exchange, model);
        });
    Path version = version("m", 1, line(model, server.url("/m")));
    Path other = version("other", 5, line(model, server.url("/m")));
    try (ModelSources sources = sources();
        ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
      List<Future<HeldFolder>> loads = new ArrayList<>();
      for (int i = 0; i < 16; i++) {
        boolean second = i % 2 == 1;
        Callable<HeldFolder> load = () -> second ? sources.resolve(other, "other", 5) : sources.resolve(version, "m", 1);
        loads.add(threads.submit(load));
      }
      for (Future<HeldFolder> load : loads) {
        try (HeldFolder held = load.get()) {
          assertThat(held.folder().resolve("model.onnx")).hasBinaryContent(model);
        }
      }
    }
    assertThat(asked.await(0, TimeUnit.SECONDS)).isTrue();
    assertThat(server.requests()).containsExactly("/m");
  }

  // --- what goes wrong ----------------------------------------------------------------------------------------------

  @Test
  void aWrongChecksumIsRefusedAtOnceAndLeavesNothingBehind() throws Exception {
    byte[] weights = bytes(70);
    byte[] model = bytes(80);
    server.file("/weights", weights).file("/model", model);
    assertThat(
            failure(
                version(
                    "m", 1, line(weights, server.url("/weights"), "w"), line(bytes(80), server.url("/model?token=secret")))))
        .matches(
            "m/1/model.source, line 2: 'http://127.0.0.1:\\d+/model' has the SHA-256 [0-9a-f]{64}; expected [0-9a-f]{64}")
        .contains(sha256(model));
    assertThat(server.requests()).containsExactly("/weights", "/model");
    assertNothingIsLeft();
  }

  @Test
  void whatWillNotChangeIsAskedForOnce() throws Exception {
    byte[] model = bytes(10);
    server
        .on("/403", exchange -> exchange.sendResponseHeaders(403, -1))
        .on("/loop", exchange -> redirect(exchange, "/loop"))
        .on("/silent-redirect", exchange -> exchange.sendResponseHeaders(302, -1))
        .on("/ftp", exchange -> redirect(exchange, "ftp://elsewhere/x"));
    assertThat(failure(version("m", 1, line(model, server.url("/nothing"))))).endsWith("/nothing' answered 404; expected 200");
    assertThat(failure(version("m", 2, line(model, server.url("/403"))))).endsWith("/403' answered 403; expected 200");
    assertThat(failure(version("m", 3, line(model, server.url("/loop"))))).endsWith("/loop' redirects more than 5 times");
    assertThat(failure(version("m", 4, line(model, server.url("/silent-redirect")))))
        .endsWith("redirects to ''; expected an https URL");
    assertThat(failure(version("m", 5, line(model, server.url("/ftp")))))
        .endsWith("redirects to 'ftp://elsewhere/x'; expected an https URL");
    assertThat(server.requests()).filteredOn("/403"::equals).hasSize(1);
    assertThat(server.requests()).filteredOn("/loop"::equals).hasSize(6);
    assertNothingIsLeft();
  }

  @Test
  void whatMayPassIsTriedThreeTimes() throws Exception {
    byte[] model = bytes(10);
    AtomicInteger asked = new AtomicInteger();
    server
        .on("/503", exchange -> exchange.sendResponseHeaders(503, -1))
        .on(
            "/second",
            exchange -> {
              if (asked.getAndIncrement() == 0) {
                exchange.sendResponseHeaders(500, -1);
              } else {
                FileServer.send(exchange, model);
              }
            });
    assertThat(failure(version("m", 1, line(model, server.url("/503")))))
        .endsWith("/503' answered 503; expected 200 (3 attempts)");
    try (ModelSources sources = sources();
        HeldFolder held = sources.resolve(version("m", 2, line(model, server.url("/second"))), "m", 2)) {
      assertThat(held.folder().resolve("model.onnx")).hasBinaryContent(model);
    }
    assertThat(server.requests()).containsExactly("/503", "/503", "/503", "/second", "/second");
  }

  @Test
  void aServerThatIsNotThereIsNamed() throws Exception {
    String url = server.url("/m");
    server.close();
    assertThat(failure(version("m", 1, line(bytes(3), url))))
        .matches(".*/m': no connection to 127.0.0.1:\\d+: refused \\(3 attempts\\)");
    assertNothingIsLeft();
  }

  @Test
  void aBodyThatBreaksOffIsTakenUpWhereItEnded() throws Exception {
    byte[] model = bytes(400_000);
    AtomicInteger asked = new AtomicInteger();
    server.on(
        "/m",
        exchange -> {
          if (asked.getAndIncrement() == 0) {
            FileServer.sendPart(exchange, model, 250_000);
          } else {
            FileServer.send(exchange, model);
          }
        });
    try (ModelSources sources = sources();
        HeldFolder held = sources.resolve(version("m", 1, line(model, server.url("/m"))), "m", 1)) {
      assertThat(held.folder().resolve("model.onnx")).hasBinaryContent(model);
    }
    assertThat(server.requests().getLast()).matches("/m bytes=[1-9]\\d*-");
    assertThat(server.requests()).hasSize(2);
  }

  @Test
  void twoHalvesOfDifferentFilesAreFetchedAnew() throws Exception {
    byte[] before = bytes(400_000);
    byte[] model = bytes(400_000);
    AtomicInteger asked = new AtomicInteger();
    server.on(
        "/m",
        exchange -> {
          if (asked.getAndIncrement() == 0) {
            FileServer.sendPart(exchange, before, 250_000);
          } else {
            FileServer.send(exchange, model);
          }
        });
    try (ModelSources sources = sources();
        HeldFolder held = sources.resolve(version("m", 1, line(model, server.url("/m"))), "m", 1)) {
      assertThat(held.folder().resolve("model.onnx")).hasBinaryContent(model);
    }
    assertThat(server.requests()).hasSize(3);
    assertThat(server.requests().getLast()).isEqualTo("/m");
  }

  @Test
  void aBodyThatIsAlwaysShortIsSaidToBe() throws Exception {
    byte[] model = bytes(10_000);
    server.on("/m", exchange -> FileServer.sendPart(exchange, model, 6_000));
    // It answers 200 whatever is asked for, so that each attempt begins anew.
    assertThat(failure(version("m", 1, line(model, server.url("/m")))))
        .matches(".*/m' broke off after \\d+ bytes: .* \\(3 attempts\\)");
    assertNothingIsLeft();
  }

  @Test
  void aServerThatFallsSilentIsGivenUp() throws Exception {
    byte[] model = bytes(10_000);
    CountDownLatch over = new CountDownLatch(1);
    server
        .on("/never", exchange -> await(over))
        .on(
            "/midway",
            exchange -> {
              FileServer.sendPart(exchange, model, 6_000);
              await(over);
            });
    try {
      assertThat(failure(version("m", 1, line(model, server.url("/never")))))
          .endsWith("/never' sent nothing for 300 ms (3 attempts)");
      assertThat(failure(version("m", 2, line(model, server.url("/midway")))))
          .endsWith("/midway' sent nothing for 300 ms (3 attempts)");
    } finally {
      over.countDown();
    }
    assertNothingIsLeft();
  }

  @Test
  void aFileThatIsLargerThanTheCacheIsRefusedBeforeItIsRead() throws Exception {
    byte[] model = bytes(2_000);
    server
        .file("/m", model)
        .on(
            "/unannounced",
            exchange -> {
              exchange.sendResponseHeaders(200, 0);
              exchange.getResponseBody().write(model);
            });
    for (String path : List.of("/m", "/unannounced")) {
      try (ModelSources sources = sources(1_000, true, null, NO_S3)) {
        assertThat(failure(sources, version("m", 1, line(model, server.url(path)))))
            .endsWith("2000 more bytes do not fit into the model cache: it may hold 1000 (model-cache-bytes), and 0 are in use");
      }
      assertNothingIsLeft();
    }
  }

  @Test
  void plainHttpHasToBeAllowed() throws Exception {
    byte[] model = bytes(10);
    server.file("/m", model);
    try (ModelSources sources = sources(1_000, false, null, NO_S3)) {
      assertThat(failure(sources, version("m", 1, line(model, server.url("/m")))))
          .matches(
              "m/1/model.source, line 1: 'http://127.0.0.1:\\d+…' is plain text; expected https, or the gateway started"
                  + " with --model-source-http");
    }
    assertThat(server.requests()).isEmpty();
  }

  @Test
  void aLoadThatIsInterruptedEndsSoon() throws Exception {
    CountDownLatch asked = new CountDownLatch(1);
    CountDownLatch over = new CountDownLatch(1);
    server.on(
        "/m",
        exchange -> {
          asked.countDown();
          await(over);
        });
    Path version = version("m", 1, line(bytes(3), server.url("/m")));
    List<String> said = new ArrayList<>();
    Thread load = Thread.ofVirtual().start(() -> said.add(failure(version)));
    asked.await();
    load.interrupt();
    load.join();
    over.countDown();
    assertThat(said).containsExactly("m/1/model.source: fetching was interrupted");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "% nothing|m/1/model.source names 0 files; expected 1 to 256 lines '<sha256>  <url>[  <file name>]'",
        "abc|m/1/model.source, line 1: 1 words; expected '<sha256>  <url>[  <file name>]'",
        "abc file:/x|m/1/model.source, line 1: 'abc' is not a SHA-256; expected 64 hexadecimal digits",
        "$ file:/x a b|m/1/model.source, line 1: 4 words; expected '<sha256>  <url>[  <file name>]'",
        "$ file:/x ../up|'../up' is not a plain file name",
        "$ file:/x /etc/passwd|'/etc/passwd' is not a plain file name",
        "$ file:/x .hidden|'.hidden' is not a plain file name",
        "$ file:/x model.source|'model.source' is not a plain file name",
        "$ gopher://x/y|'gopher://x/y' is not understood; expected a URL of file:, https: or s3:",
        "$ model.onnx|'model.onnx' is not understood",
        "$ https:///x|names no host",
        "$ https://me:pw@host/x|a URL at 'host' holds a user name or a password",
        "$ s3://bucket|'s3://bucket' is not an object; expected s3://<bucket>/<key>",
        "$ s3://bucket/a/../b|a key with a part '..' cannot be asked for",
        "$ file:/x#$ file:/y|line 2: the file 'model.onnx' is named twice",
      })
  void aLineThatIsWrongIsNamed(String text, String expected) throws Exception {
    Path version = version("m", 1, text.replace("#$", "\n$").replace("%", "#").replace("$", "0".repeat(64)));
    assertThat(failure(version)).contains(expected);
  }

  @Test
  void aModelIsNotInTwoPlaces() throws Exception {
    Path version = version("m", 1, line(bytes(3), "file:/x"));
    Files.write(version.resolve("model.onnx"), bytes(3));
    assertThat(failure(version))
        .isEqualTo("m/1/model.source, line 1: the file 'model.onnx' lies beside it; expected one of the two");
    Path link = Files.createDirectories(folder.resolve("repository/m/2"));
    Files.createSymbolicLink(link.resolve("model.source"), Files.writeString(folder.resolve("secret"), "secret"));
    assertThat(failure(link)).isEqualTo("m/2/model.source is a link that leaves its version's folder");
  }

  // --- the cache ----------------------------------------------------------------------------------------------------

  @Test
  void damagedFilesAreNoticedAndFetchedAnew() throws Exception {
    byte[] model = bytes(1_000);
    server.file("/m", model);
    Path version = version("m", 1, line(model, server.url("/m")));
    try (ModelSources sources = sources()) {
      Path cached;
      try (HeldFolder held = sources.resolve(version, "m", 1)) {
        cached = held.folder();
      }
      byte[] damaged = model.clone();
      damaged[500] ^= 1;
      List<Callable<Path>> damages =
          List.of(
              () -> Files.write(cached.resolve("model.onnx"), damaged),
              () -> Files.writeString(cached.resolve("stranger"), "x"),
              () -> {
                Files.delete(cached.resolve("model.onnx"));
                return cached;
              });
      for (Callable<Path> damage : damages) {
        damage.call();
        try (HeldFolder held = sources.resolve(version, "m", 1)) {
          assertThat(held.folder().resolve("model.onnx")).hasBinaryContent(model);
          assertThat(held.folder().resolve("stranger")).doesNotExist();
        }
      }
    }
    assertThat(server.requests()).hasSize(4);
  }

  @Test
  void theLeastRecentlyUsedVersionLeavesUnlessItIsLoaded() throws Exception {
    byte[][] models = {bytes(400), bytes(400), bytes(400), bytes(400)};
    Path[] versions = new Path[models.length];
    for (int i = 0; i < models.length; i++) {
      server.file("/" + i, models[i]);
      versions[i] = version("m", i + 1, line(models[i], server.url("/" + i)));
    }
    try (ModelSources sources = sources(1_000, true, null, NO_S3)) {
      HeldFolder first = sources.resolve(versions[0], "m", 1);
      sources.resolve(versions[1], "m", 2).close();
      sources.resolve(versions[2], "m", 3).close(); // in the place of the second
      assertThat(first.folder().resolve("model.onnx")).exists();
      assertThat(cachedVersions()).containsExactly("1", "3");
      try (HeldFolder _ = sources.resolve(versions[2], "m", 3)) {
        assertThat(failure(sources, versions[3])).contains("it may hold 1000 (model-cache-bytes), and 800 are in use");
      }
      assertThat(cachedVersions()).containsExactly("1", "3");
      first.close();
      first.close(); // twice is once
      sources.resolve(versions[2], "m", 3).close();
      sources.resolve(versions[3], "m", 4).close(); // in the place of the first
      assertThat(cachedVersions()).containsExactly("3", "4");
    }
    assertThat(server.requests()).containsExactly("/0", "/1", "/2", "/3", "/3");
  }

  @Test
  void aNewProcessTakesUpWhatIsWholeAndRemovesTheRest() throws Exception {
    byte[] model = bytes(400);
    server.file("/m", model);
    Path version = version("m", 1, line(model, server.url("/m")));
    try (ModelSources sources = sources()) {
      sources.resolve(version, "m", 1).close();
    }
    Files.write(Files.createDirectories(folder.resolve("cache/partial/9")).resolve("model.onnx"), bytes(70));
    Files.write(Files.createDirectories(folder.resolve("cache/entries/key/n/1")).resolve("model.onnx"), bytes(70));
    try (ModelCache cache = ModelCache.open(folder.resolve("cache"), 1_000)) {
      assertThat(cache.bytes()).isEqualTo(400);
      assertThat(cachedVersions()).containsExactly("1");
      assertThat(folder.resolve("cache/partial")).isEmptyDirectory();
    }
    try (ModelCache cache = ModelCache.open(folder.resolve("cache"), 399)) {
      assertThat(cache.bytes()).isZero();
    }
    assertNothingIsLeft();
  }

  @Test
  void aCacheHasOneOwner() throws Exception {
    byte[] model = bytes(4);
    server.file("/m", model);
    Path version = version("m", 1, line(model, server.url("/m")));
    try (ModelSources sources = sources();
        HeldFolder _ = sources.resolve(version, "m", 1)) {
      assertThat(failure(version)).endsWith("cache' is used by another process");
    }
  }

  // --- TLS and S3 ---------------------------------------------------------------------------------------------------

  @Test
  void aCertificateOfOnesOwnIsTrustedWhenItIsNamed() throws Exception {
    byte[] model = bytes(100);
    Path store = folder.resolve("identity.p12");
    keytool(
        "-genkeypair", "-alias", "server", "-keyalg", "EC", "-dname", "CN=test", "-ext", "san=ip:127.0.0.1",
        "-storetype", "PKCS12", "-keystore", store.toString(), "-storepass", "changeit");
    Path pem = folder.resolve("ca.pem");
    keytool(
        "-exportcert", "-rfc", "-alias", "server", "-keystore", store.toString(), "-storepass", "changeit",
        "-file", pem.toString());
    try (FileServer secure = FileServer.secure(identity(store))) {
      secure.file("/m", model).on("/down", exchange -> redirect(exchange, server.url("/m")));
      try (ModelSources sources = sources(1_000, false, pem, NO_S3)) {
        try (HeldFolder held = sources.resolve(version("m", 1, line(model, secure.url("/m"))), "m", 1)) {
          assertThat(held.folder().resolve("model.onnx")).hasBinaryContent(model);
        }
        assertThat(failure(sources, version("m", 2, line(bytes(9), secure.url("/down")))))
            .matches(".*/down' redirects to 'http://127.0.0.1:\\d+/m'; expected an https URL");
        assertThat(server.requests()).isEmpty();
      }
      assertThat(failure(version("n", 2, line(bytes(3), secure.url("/m")))))
          .matches("n/2/model.source, line 1: 'https://127.0.0.1:\\d+/m': 127.0.0.1:\\d+ is not trusted: .*");
    }
    try (ModelSources sources = sources(1_000, false, folder.resolve("nowhere.pem"), NO_S3)) {
      assertThat(failure(sources, version("n", 3, line(bytes(3), "https://127.0.0.1:1/x")))).contains("model-source-ca: ");
    }
  }

  @Test
  void anObjectIsAskedForWithASignatureThatTheStoreCanCheck() throws Exception {
    byte[] model = bytes(400_000);
    S3Check check = new S3Check("AKIATEST", "secret/key+1", "eu-central-1", null);
    server.on(
        "/",
        check.serving(
            Map.of("/models/fraud/7.onnx", model, "/models/a%20b%2B%C3%BC%24%28x%29//~y.onnx", bytes(2))));
    S3Settings s3 = s3("AKIATEST", "secret/key+1", null);
    try (ModelSources sources = sources(1_000_000, false, null, s3);
        HeldFolder held = sources.resolve(version("m", 1, line(model, "s3://models/fraud/7.onnx")), "m", 1)) {
      assertThat(held.folder().resolve("model.onnx")).hasBinaryContent(model);
      assertThat(failure(sources, version("m", 2, line(model, "s3://models/nothing"), line(bytes(1), "s3://models/x", "x"))))
          .isNotEmpty();
      assertThat(failure(sources, version("m", 3, line(bytes(1), "s3://models/nothing"))))
          .isEqualTo("m/3/model.source, line 1: 's3://models/nothing' answered 404 (NoSuchKey); expected 200");
      assertThat(new S3Requests(s3).uri("s3://models/a b+ü$(x)//~y.onnx").getRawPath())
          .isEqualTo("/models/a%20b%2B%C3%BC%24%28x%29//~y.onnx");
    }
    try (ModelSources sources = sources(1_000_000, false, null, s3("AKIATEST", "wrong", null))) {
      assertThat(failure(sources, version("m", 4, line(bytes(1), "s3://models/fraud/7.onnx"))))
          .endsWith("'s3://models/fraud/7.onnx' answered 403 (SignatureDoesNotMatch); expected 200");
    }
    try (ModelSources sources = sources(1_000_000, false, null, s3(null, null, null))) {
      assertThat(failure(sources, version("m", 5, line(bytes(1), "s3://models/fraud/7.onnx"))))
          .endsWith("answered 403 (AccessDenied); expected 200");
    }
  }

  @Test
  void keysOfAnyCharactersAndSessionsAreSignedToo() throws Exception {
    byte[] model = bytes(20);
    S3Check check = new S3Check("AKIATEST", "k", "eu-central-1", "the/token==");
    server.on("/", check.serving(Map.of("/models/a%2B%C3%BC%24%28x%29//~y.onnx", model)));
    try (ModelSources sources = sources(1_000_000, false, null, s3("AKIATEST", "k", "the/token=="));
        HeldFolder held = sources.resolve(version("m", 1, line(model, "s3://models/a+ü$(x)//~y.onnx")), "m", 1)) {
      assertThat(held.folder().resolve("model.onnx")).hasBinaryContent(model);
    }
  }

  @Test
  void aPublicObjectIsAskedForWithoutASignature() throws Exception {
    byte[] model = bytes(20);
    List<String> authorizations = new ArrayList<>();
    server.on(
        "/public/m",
        exchange -> {
          authorizations.add(String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
          FileServer.send(exchange, model);
        });
    try (ModelSources sources = sources(1_000, false, null, s3(null, null, null));
        HeldFolder held = sources.resolve(version("m", 1, line(model, "s3://public/m")), "m", 1)) {
      assertThat(held.folder().resolve("model.onnx")).hasBinaryContent(model);
    }
    assertThat(authorizations).containsExactly("null");
  }

  @Test
  void aBucketInAnotherRegionSaysWhere() throws Exception {
    server.on(
        "/bucket/m",
        exchange -> {
          exchange.getResponseHeaders().set("x-amz-bucket-region", "ap-south-1");
          exchange.sendResponseHeaders(301, -1);
        });
    try (ModelSources sources = sources(1_000, false, null, s3("a", "b", null))) {
      assertThat(failure(sources, version("m", 1, line(bytes(1), "s3://bucket/m"))))
          .endsWith("'s3://bucket/m' answered 301; expected 200; the bucket is in the region 'ap-south-1'");
    }
  }

  @Test
  void whereAndHowS3IsSpokenIsReadFromTheUsualVariables() throws Exception {
    S3Settings aws = S3Settings.fromEnvironment(Map.of("AWS_REGION", "eu-west-1", "AWS_ENDPOINT_URL", ""));
    assertThat(new S3Requests(aws).uri("s3://models/a/b")).hasToString("https://models.s3.eu-west-1.amazonaws.com/a/b");
    assertThat(new S3Requests(aws).uri("s3://my.models/a")).hasToString("https://s3.eu-west-1.amazonaws.com/my.models/a");
    assertThat(new S3Requests(S3Settings.fromEnvironment(Map.of("AWS_DEFAULT_REGION", "cn-north-1"))).uri("s3://mmm/a"))
        .hasToString("https://mmm.s3.cn-north-1.amazonaws.com.cn/a");
    S3Settings own =
        S3Settings.fromEnvironment(
            Map.of(
                "AWS_ENDPOINT_URL_S3", "http://minio:9000/", "AWS_ENDPOINT_URL", "http://other",
                "AWS_ACCESS_KEY_ID", "me", "AWS_SECRET_ACCESS_KEY", "hidden", "AWS_SESSION_TOKEN", "hidden too"));
    assertThat(new S3Requests(own).uri("s3://models/a")).hasToString("http://minio:9000/models/a");
    assertThat(own).hasToString("S3Settings[endpoint=http://minio:9000/, region=us-east-1, signed by me]");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> S3Settings.fromEnvironment(Map.of("AWS_ACCESS_KEY_ID", "me")))
        .withMessageContaining("AWS_SECRET_ACCESS_KEY is not");
    assertThatIllegalArgumentException()
        .isThrownBy(() -> S3Settings.fromEnvironment(Map.of("AWS_ENDPOINT_URL", "minio:9000")))
        .withMessage("AWS_ENDPOINT_URL is 'minio:9000'; expected http(s)://<host>[:<port>]");
  }

  // --- parts --------------------------------------------------------------------------------------------------------

  private ModelSources sources() {
    return sources(10_000_000, true, null, NO_S3);
  }

  private ModelSources sources(long bytesMax, boolean plainHttp, @Nullable Path certificates, S3Settings s3) {
    return ModelSources.of(
        new SourceSettings(folder.resolve("cache"), bytesMax, plainHttp, certificates, s3, PATIENCE));
  }

  private S3Settings s3(@Nullable String accessKey, @Nullable String secretKey, @Nullable String token) {
    return new S3Settings(server.uri(), "eu-central-1", accessKey, secretKey, token);
  }

  private Path version(String model, long version, String... lines) throws IOException {
    Path versionFolder = Files.createDirectories(folder.resolve("repository/%s/%d".formatted(model, version)));
    Files.writeString(versionFolder.resolve("model.source"), String.join("\n", lines));
    return versionFolder;
  }

  private String failure(Path version) {
    try (ModelSources sources = sources()) {
      return failure(sources, version);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  private static String failure(ModelSources sources, Path version) {
    Path model = version.resolve("..").normalize();
    return assertThatExceptionOfType(ModelLoadException.class)
        .isThrownBy(
            () ->
                sources
                    .resolve(version, model.getFileName().toString(), Long.parseLong(version.getFileName().toString()))
                    .close())
        .actual()
        .getMessage();
  }

  private void assertNothingIsLeft() throws IOException {
    try (Stream<Path> files = Files.walk(folder.resolve("cache"))) {
      assertThat(files.filter(Files::isRegularFile).map(file -> file.getFileName().toString())).containsExactly("lock");
    }
    assertThat(folder.resolve("cache/partial")).isEmptyDirectory();
    assertThat(folder.resolve("cache/entries")).isEmptyDirectory();
  }

  private List<String> cachedVersions() throws IOException {
    try (Stream<Path> files = Files.walk(folder.resolve("cache/entries"))) {
      return files
          .filter(file -> file.endsWith("model.onnx"))
          .map(file -> file.getName(file.getNameCount() - 2).toString())
          .sorted()
          .toList();
    }
  }

  private static void redirect(com.sun.net.httpserver.HttpExchange exchange, String to) throws IOException {
    exchange.getResponseHeaders().set("Location", to);
    exchange.sendResponseHeaders(302, -1);
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // The server was stopped.
    }
  }

  private static SSLContext identity(Path store) throws Exception {
    KeyStore keys = KeyStore.getInstance("PKCS12");
    try (InputStream in = Files.newInputStream(store)) {
      keys.load(in, "changeit".toCharArray());
    }
    KeyManagerFactory factory = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    factory.init(keys, "changeit".toCharArray());
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(factory.getKeyManagers(), null, null);
    return context;
  }

  private void keytool(String... arguments) throws Exception {
    List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin/keytool").toString()));
    command.addAll(List.of(arguments));
    Path said = folder.resolve("keytool.log");
    Process process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(said.toFile()).start();
    assertThat(process.waitFor()).as(() -> read(said)).isZero();
  }

  private static String read(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      return e.toString();
    }
  }

  private static final Random RANDOM = new Random(20_261_121L);

  private static byte[] bytes(int length) {
    byte[] bytes = new byte[length];
    RANDOM.nextBytes(bytes);
    return bytes;
  }

  private static String line(byte[] contents, String url, String... name) {
    return "%s  %s  %s".formatted(sha256(contents), url, String.join("", name));
  }

  private static String sha256(byte[] contents) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(contents));
    } catch (java.security.GeneralSecurityException e) {
      throw new AssertionError(e);
    }
  }
}
