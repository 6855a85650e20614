package dev.sluice.gateway.rpc;

import dev.sluice.gateway.config.UnixListener;
import java.io.IOException;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFilePermission;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// The file of a Unix domain socket. Binding makes it and nothing but a deletion ends it, so one may have stayed behind
/// from a process that was killed; only asking tells it from one that somebody serves.
public final class UnixSocketFile implements AutoCloseable {
  private final Path path;
  private @Nullable Identity made;

  private UnixSocketFile(Path path) {
    this.path = path;
  }

  /// Deletes what a dead process left; the caller binds next.
  ///
  /// @throws IOException in a few words why nothing can be bound there
  public static UnixSocketFile free(UnixListener listener) throws IOException {
    Path path = listener.path();
    Path folder = path.toAbsolutePath().getParent();
    if (folder == null || !Files.isDirectory(folder)) {
      throw new IOException("'%s' is not a directory".formatted(folder));
    }
    if (Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      if (!Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS).isOther()) {
        throw new IOException("the file exists and is not a socket");
      }
      if (isServed(path)) {
        throw new IOException("another process listens there");
      }
      Files.delete(path);
    }
    return new UnixSocketFile(path);
  }

  /// Only a refusal shows that nobody is there: a full queue or a lack of rights shows somebody.
  private static boolean isServed(Path path) {
    try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
      channel.connect(UnixDomainSocketAddress.of(path));
      return true;
    } catch (ConnectException e) {
      return false;
    } catch (IOException e) {
      return true;
    }
  }

  /// After binding: who may connect. Between the two it is what the process's umask leaves.
  public void bound(int mode) throws IOException {
    made = identity();
    PosixFileAttributeView view = Files.getFileAttributeView(path, PosixFileAttributeView.class);
    if (view != null) {
      view.setPermissions(permissions(mode));
    }
  }

  private static Set<PosixFilePermission> permissions(int mode) {
    // The enum goes from the owner's right to read, 0400, to everybody's right to execute, 0001.
    PosixFilePermission[] all = PosixFilePermission.values();
    Set<PosixFilePermission> some = EnumSet.noneOf(PosixFilePermission.class);
    for (int i = 0; i < all.length; i++) {
      if ((mode & (0400 >> i)) != 0) {
        some.add(all[i]);
      }
    }
    return some;
  }

  /// When the server is closed. A successor may listen on a file of its own there already; that one stays.
  @Override
  public void close() throws IOException {
    if (made != null && Files.exists(path, LinkOption.NOFOLLOW_LINKS) && made.equals(identity())) {
      Files.delete(path);
    }
  }

  /// With the time, as a file system may give a deleted file's number to the next one.
  private record Identity(@Nullable Object file, FileTime bound) {}

  private Identity identity() throws IOException {
    BasicFileAttributes found = Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    return new Identity(found.fileKey(), found.lastModifiedTime());
  }
}
