package dev.sluice.runtime.source;

import dev.sluice.runtime.model.ModelLoadException;
import dev.sluice.runtime.source.SourceManifest.SourceFile;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.nio.file.FileSystemNotFoundException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/// Finds the folder that really holds a version's files, and fetches them first if they are elsewhere.
///
/// Files are fetched on the caller's time, one after the other. Two callers who want the same file fetch it once: the
/// second waits for the first.
public final class ModelSources implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(ModelSources.class);

  private final @Nullable SourceSettings settings;
  private final KeyedLocks fetching = new KeyedLocks();
  private final ReentrantLock opening = new ReentrantLock();
  // Each is made when the first version needs it, under the lock.
  private @Nullable ModelCache cache;
  private @Nullable HttpClient client;

  private ModelSources(@Nullable SourceSettings settings) {
    this.settings = settings;
  }

  public static ModelSources of(SourceSettings settings) {
    return new ModelSources(settings);
  }

  /// For repositories that hold their models themselves.
  public static ModelSources none() {
    return new ModelSources(null);
  }

  /// The version's own folder, or that of its fetched files. The caller holds it for as long as the version is loaded.
  public HeldFolder resolve(Path versionFolder, String model, long version) throws ModelLoadException {
    Path file = versionFolder.resolve(SourceManifest.FILE);
    if (!Files.isRegularFile(file)) {
      return new HeldFolder(versionFolder, null);
    }
    String label = "%s/%d/%s".formatted(model, version, SourceManifest.FILE);
    requireInside(versionFolder, file, label);
    SourceManifest manifest = SourceManifest.read(file, label);
    for (SourceFile named : manifest.files()) {
      if (Files.exists(versionFolder.resolve(named.name()))) {
        throw new ModelLoadException(
            "%s, line %d: the file '%s' lies beside it; expected one of the two"
                .formatted(label, named.line(), named.name()));
      }
    }
    if (settings == null) {
      throw new ModelLoadException("%s: there is no model cache to fetch it into".formatted(label));
    }
    List<String> sums = manifest.files().stream().map(SourceFile::sha256).toList();
    try (KeyedLocks.Held _ = fetching.lock(sums)) {
      return fetched(manifest, cache(settings), settings, model, version, label);
    } catch (SourceException e) {
      throw new ModelLoadException("%s: %s".formatted(label, e.getMessage()), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ModelLoadException("%s: fetching was interrupted".formatted(label), e);
    }
  }

  private HeldFolder fetched(
      SourceManifest manifest, ModelCache cache, SourceSettings settings, String model, long version, String label)
      throws SourceException, InterruptedException, ModelLoadException {
    Path place = cache.place(manifest, model, version);
    HeldFolder cached = cache.hold(place);
    if (cached != null) {
      if (ModelCache.isWhole(cached.folder(), manifest)) {
        return cached;
      }
      log.warn("{}: the files in {} are not those that were fetched; they are fetched anew", label, place);
      cached.close();
      cache.drop(place);
    }
    try (ModelCache.Partial partial = cache.begin()) {
      for (SourceFile file : manifest.files()) {
        try {
          fetch(file, partial, cache, settings);
        } catch (SourceException e) {
          throw new ModelLoadException("%s, line %d: %s".formatted(label, file.line(), e.getMessage()), e);
        }
        partial.add(file);
      }
      return partial.publish(place);
    }
  }

  private void fetch(SourceFile file, ModelCache.Partial partial, ModelCache cache, SourceSettings settings)
      throws SourceException, InterruptedException {
    Origin origin = origin(file.url(), settings); // Before anything is read, so that a wrong line is an error always.
    Path twin = partial.find(file.sha256());
    if (twin != null) {
      transfer(new FileOrigin(twin), file, partial, settings);
      return;
    }
    ModelCache.HeldFile other = cache.holdFile(file.sha256());
    if (other != null) {
      try (HeldFolder _ = other.folder()) {
        transfer(new FileOrigin(other.file()), file, partial, settings);
        return;
      } catch (SourceException e) {
        log.info("another version's copy is of no use: {}", e.getMessage());
      }
    }
    long start = System.nanoTime();
    transfer(origin, file, partial, settings);
    log.info("fetched '{}' in {} ms", origin, (System.nanoTime() - start) / 1_000_000);
  }

  private static void transfer(Origin origin, SourceFile file, ModelCache.Partial partial, SourceSettings settings)
      throws SourceException, InterruptedException {
    new Transfer(origin, file.sha256(), partial.path(file), partial, settings.patience()).run();
  }

  private Origin origin(String url, SourceSettings settings) throws SourceException {
    if (S3Requests.understands(url)) {
      S3Requests requests = new S3Requests(settings.s3());
      return HttpOrigin.signed(client(settings), settings.patience(), requests.uri(url), url, requests::headers);
    }
    URI uri;
    try {
      uri = URI.create(url);
    } catch (IllegalArgumentException e) {
      throw SourceException.lasting("'%s' is not a URL".formatted(url));
    }
    return switch (String.valueOf(uri.getScheme())) {
      case "file" -> file(uri, url);
      case "https", "http" -> http(uri, settings);
      default ->
          throw SourceException.lasting("'%s' is not understood; expected a URL of file:, https: or s3:".formatted(url));
    };
  }

  private static Origin file(URI uri, String url) throws SourceException {
    try {
      return new FileOrigin(Path.of(uri));
    } catch (IllegalArgumentException | FileSystemNotFoundException e) {
      throw SourceException.lasting("'%s' is not an absolute path; expected file:/<path>".formatted(url));
    }
  }

  private Origin http(URI uri, SourceSettings settings) throws SourceException {
    // Whoever may read the repository would read them too, and so would every log.
    if (uri.getRawUserInfo() != null) {
      throw SourceException.lasting("a URL at '%s' holds a user name or a password".formatted(uri.getHost()));
    }
    if (uri.getHost() == null) {
      throw SourceException.lasting("'%s' names no host".formatted(uri));
    }
    if (uri.getScheme().equals("http") && !settings.plainHttp()) {
      throw SourceException.lasting(
          "'http://%s…' is plain text; expected https, or the gateway started with --model-source-http"
              .formatted(uri.getRawAuthority()));
    }
    return HttpOrigin.of(client(settings), settings.patience(), uri, settings.plainHttp());
  }

  // A link from a folder of the repository into the machine's other files would be read aloud in error messages.
  private static void requireInside(Path folder, Path file, String label) throws ModelLoadException {
    try {
      if (!file.toRealPath().startsWith(folder.toRealPath())) {
        throw new ModelLoadException("%s is a link that leaves its version's folder".formatted(label));
      }
    } catch (IOException e) {
      throw new ModelLoadException("%s cannot be read: %s".formatted(label, e.getClass().getSimpleName()), e);
    }
  }

  // --- what is opened once ------------------------------------------------------------------------------------------

  private ModelCache cache(SourceSettings settings) throws SourceException {
    opening.lock();
    try {
      if (cache == null) {
        cache = ModelCache.open(settings.cacheFolder(), settings.cacheBytesMax());
      }
      return cache;
    } catch (IOException e) {
      throw SourceException.lasting(
          "model-cache-dir: '%s' cannot be used: %s".formatted(settings.cacheFolder(), HttpOrigin.words(e)));
    } finally {
      opening.unlock();
    }
  }

  private HttpClient client(SourceSettings settings) throws SourceException {
    opening.lock();
    try {
      if (client == null) {
        HttpClient.Builder builder =
            HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .followRedirects(HttpClient.Redirect.NEVER)
                .connectTimeout(settings.patience().connect());
        Path certificates = settings.certificates();
        if (certificates != null) {
          builder.sslContext(trusting(certificates));
        }
        client = builder.build();
      }
      return client;
    } finally {
      opening.unlock();
    }
  }

  /// The platform's authorities, and those of the file.
  private static SSLContext trusting(Path certificates) throws SourceException {
    try (InputStream pem = Files.newInputStream(certificates)) {
      KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
      trusted.load(null, null);
      int number = 0;
      for (TrustManager manager : trustManagers(null)) {
        if (manager instanceof X509TrustManager platform) {
          for (X509Certificate authority : platform.getAcceptedIssuers()) {
            trusted.setCertificateEntry("platform-" + number++, authority);
          }
        }
      }
      for (Certificate authority : CertificateFactory.getInstance("X.509").generateCertificates(pem)) {
        trusted.setCertificateEntry("file-" + number++, authority);
      }
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(null, trustManagers(trusted), null);
      return context;
    } catch (IOException | GeneralSecurityException e) {
      throw SourceException.lasting(
          "model-source-ca: '%s' cannot be used: %s".formatted(certificates, HttpOrigin.words(e)));
    }
  }

  private static TrustManager[] trustManagers(@Nullable KeyStore trusted) throws GeneralSecurityException {
    TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(trusted);
    return factory.getTrustManagers();
  }

  /// Ends what is being fetched.
  @Override
  public void close() throws IOException {
    opening.lock();
    try {
      if (client != null) {
        client.shutdownNow();
      }
      if (cache != null) {
        cache.close();
      }
    } finally {
      opening.unlock();
    }
  }
}
