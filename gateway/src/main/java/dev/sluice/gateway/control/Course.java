package dev.sluice.gateway.control;

import com.google.protobuf.util.Timestamps;
import dev.sluice.gateway.store.StoredRollout;
import dev.sluice.proto.control.v1.CoursePoint;
import dev.sluice.proto.control.v1.CourseTrack;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.rollout.RolloutNote;
import dev.sluice.router.rollout.RolloutState;
import dev.sluice.router.stop.ArmedRule;
import dev.sluice.router.stop.ArmedRules;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// How a rollout's evidence came about, for its report: points in time, and at each of them where every test stood that had heard
/// something against the candidate.
///
/// The log of a ledger forgets; a course thins out. When all points are taken, every second one is given up and from then on half
/// as many are taken, so a minute and a month both have between [#POINTS_MAX] / 2 and [#POINTS_MAX] of them. The tests that are
/// followed are at most [#TRACKS_MAX]: overall ones always, others once they have heard something; then the one nearest to firing
/// takes the place of the one farthest from it. At most 400 KiB a rollout. Belongs to the single writer.
final class Course {

  static final int POINTS_MAX = 240;
  static final int TRACKS_MAX = 64;

  private static final long INTERVAL_MILLIS = 100;

  private final List<CoursePoint> points = new ArrayList<>();
  private final List<Track> tracks = new ArrayList<>();

  /// The tests that are followed, by their index in [ArmedRules#armed].
  private final BitSet followed = new BitSet();

  private long intervalMillis = INTERVAL_MILLIS;
  private long lastMillis = Long.MIN_VALUE;

  /// The state that the last point was made of.
  private @Nullable RolloutState last;

  /// One test. Its values are of the points from `first` on.
  private static final class Track {
    final ArmedRule test;

    /// In [ArmedRules#armed].
    final int index;

    int first;
    long[] bad = new long[16];
    long[] events = new long[16];
    double[] evidence = new double[16];
    int size;

    Track(ArmedRule test, int index, int first) {
      this.test = test;
      this.index = index;
      this.first = first;
    }

    void add(long newBad, long newEvents, double newEvidence) {
      if (size == bad.length) {
        bad = Arrays.copyOf(bad, 2 * size);
        events = Arrays.copyOf(events, 2 * size);
        evidence = Arrays.copyOf(evidence, 2 * size);
      }
      bad[size] = newBad;
      events[size] = newEvents;
      evidence[size++] = newEvidence;
    }

    boolean isAt(long otherBad, long otherEvents) {
      return size > 0 && bad[size - 1] == otherBad && events[size - 1] == otherEvents;
    }

    /// Gives up the values of points with an odd index.
    void thin() {
      int kept = 0;
      for (int i = first % 2; i < size; i += 2) {
        bad[kept] = bad[i];
        events[kept] = events[i];
        evidence[kept++] = evidence[i];
      }
      first = (first + 1) / 2;
      size = kept;
    }

    /// How near it has come: 1 at what fires it alone.
    double nearness(double threshold) {
      return size == 0 ? 0 : Course.nearness(test, evidence[size - 1], threshold);
    }
  }

  private static double nearness(ArmedRule test, double evidence, double threshold) {
    return test.share() == 0 ? 0 : Math.log(Math.max(1, evidence)) / Math.log(threshold / test.share());
  }

  /// Takes a point if it is time for one and something has changed since the last.
  ///
  /// @param must whatever the time: a decision has been made
  void sample(long nowMillis, EvidenceLedger ledger, StoredRollout stored, @Nullable RolloutNote note, boolean must) {
    if (!must && nowMillis - lastMillis < intervalMillis && !points.isEmpty()) {
      return;
    }
    follow(ledger);
    if (!must && !points.isEmpty() && stored.state().equals(last) && isUnchanged(ledger)) {
      return;
    }
    CoursePoint point = RolloutMessages.coursePoint(stored, note).setTime(Timestamps.fromMillis(nowMillis)).build();
    if (points.size() == POINTS_MAX) {
      thin();
    }
    points.add(point);
    for (Track track : tracks) {
      track.add(
          ledger.bad(track.test.rule(), track.test.segment()),
          ledger.events(track.test.rule(), track.test.segment()),
          ledger.evidence(track.test));
    }
    last = stored.state();
    lastMillis = nowMillis;
  }

  private boolean isUnchanged(EvidenceLedger ledger) {
    for (int i = 0; i < tracks.size(); i++) {
      Track track = tracks.get(i);
      if (!track.isAt(
          ledger.bad(track.test.rule(), track.test.segment()), ledger.events(track.test.rule(), track.test.segment()))) {
        return false;
      }
    }
    return true;
  }

  private void follow(EvidenceLedger ledger) {
    List<ArmedRule> armed = ledger.rules().armed();
    double threshold = ledger.rules().threshold();
    for (int index = followed.nextClearBit(0); index < armed.size(); index = followed.nextClearBit(index + 1)) {
      ArmedRule test = armed.get(index);
      boolean worthIt =
          test.segment() == ArmedRule.OVERALL
              || (test.segment() < ledger.segmentCount() && ledger.bad(test.rule(), test.segment()) > 0);
      if (!worthIt) {
        continue;
      }
      if (tracks.size() < TRACKS_MAX) {
        follow(new Track(test, index, points.size()));
        continue;
      }
      Track farthest = tracks.getFirst();
      for (Track track : tracks) {
        farthest = track.nearness(threshold) < farthest.nearness(threshold) ? track : farthest;
      }
      if (nearness(test, ledger.evidence(test), threshold) > farthest.nearness(threshold)) {
        tracks.remove(farthest);
        followed.clear(farthest.index);
        follow(new Track(test, index, points.size()));
      }
    }
  }

  private void follow(Track track) {
    tracks.add(track);
    followed.set(track.index);
  }

  private void thin() {
    List<CoursePoint> kept = new ArrayList<>();
    for (int i = 0; i < points.size(); i += 2) {
      kept.add(points.get(i));
    }
    points.clear();
    points.addAll(kept);
    tracks.forEach(Track::thin);
    intervalMillis *= 2;
  }

  // --- as a message ---------------------------------------------------------------------------------------------------

  dev.sluice.proto.control.v1.Course message(EvidenceLedger ledger) {
    dev.sluice.proto.control.v1.Course.Builder course = dev.sluice.proto.control.v1.Course.newBuilder().addAllPoints(points);
    for (Track track : tracks) {
      ArmedRule test = track.test;
      CourseTrack.Builder message =
          CourseTrack.newBuilder()
              .setRule(ledger.rules().rules().get(test.rule()).name())
              .setSegment(ledger.segmentName(test.segment()))
              .setPart(test.part())
              .setThreshold(test.share() == 0 ? 0 : ledger.rules().threshold() / test.share())
              .setAlphaShare(test.share())
              .setFirstPoint(track.first);
      for (int i = 0; i < track.size; i++) {
        message.addBad(track.bad[i]).addEvents(track.events[i]).addEvidence(track.evidence[i]);
      }
      course.addTracks(message);
    }
    return course.build();
  }

  /// The course that a former process has kept, to be continued.
  static Course of(dev.sluice.proto.control.v1.Course kept, EvidenceLedger ledger) {
    Course course = new Course();
    course.points.addAll(kept.getPointsList().subList(0, Math.min(POINTS_MAX, kept.getPointsCount())));
    List<ArmedRule> armed = ledger.rules().armed();
    for (int index = 0; index < armed.size(); index++) {
      ArmedRule test = armed.get(index);
      if (test.segment() >= ledger.segmentCount() || course.tracks.size() == TRACKS_MAX) {
        continue;
      }
      String rule = ledger.rules().rules().get(test.rule()).name();
      String segment = ledger.segmentName(test.segment());
      for (CourseTrack track : kept.getTracksList()) {
        boolean whole =
            track.getFirstPoint() + track.getEvidenceCount() == course.points.size()
                && track.getBadCount() == track.getEvidenceCount()
                && track.getEventsCount() == track.getEvidenceCount();
        if (whole && track.getRule().equals(rule) && track.getSegment().equals(segment) && track.getPart() == test.part()) {
          Track continued = new Track(test, index, track.getFirstPoint());
          for (int i = 0; i < track.getEvidenceCount(); i++) {
            continued.add(track.getBad(i), track.getEvents(i), track.getEvidence(i));
          }
          course.follow(continued);
          break;
        }
      }
    }
    return course;
  }
}
