package dev.sluice.gateway.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.sluice.gateway.store.LedgerFiles.Opened;
import dev.sluice.router.assignment.Assignment;
import dev.sluice.router.assignment.Exposure;
import dev.sluice.router.assignment.SegmentRule;
import dev.sluice.router.assignment.Segments;
import dev.sluice.router.assignment.Variant;
import dev.sluice.router.ledger.EvidenceLedger;
import dev.sluice.router.ledger.LedgerWords;
import dev.sluice.router.observation.Observation;
import dev.sluice.router.stop.ArmedRules;
import dev.sluice.router.stop.StopRule.Scope;
import dev.sluice.router.stop.StopRule;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LedgerFilesTest {

  @TempDir Path directory;

  @Test
  void aLedgerIsFoundAsItWasLeft() {
    Segments segments = new Segments(List.of(SegmentRule.parse("country=JP")));
    ArmedRules rules = new ArmedRules(List.of(new StopRule.ErrorRate(0.01, Scope.ALL)), 0.001, segments);
    EvidenceLedger.Plan plan = new EvidenceLedger.Plan(rules, List.of(), 1_000, 64, true);
    int words = plan.wordsNeeded();
    EvidenceLedger.Trip trip;
    try (LedgerFiles files = new LedgerFiles(directory)) {
      EvidenceLedger ledger = new EvidenceLedger(plan, files.create("r", words));
      ledger.initialize(77, Exposure.of(1, 500, 0));
      Assignment assignment =
          new Assignment(Variant.CANDIDATE, false, 0, 1, 500, Assignment.NO_KEY, ledger.ticket(0));
      ledger.dispatchedLive(0, 0);
      for (int failure = 0; failure < 5 && ledger.trip() == null; failure++) {
        ledger.record(new Observation.Failed(assignment, Variant.CANDIDATE, false, 1_000), 0);
      }
      trip = ledger.trip();
      assertThat(trip).isNotNull();
    }
    try (LedgerFiles files = new LedgerFiles(directory)) {
      Opened.Found found = (Opened.Found) files.open("r", words);
      EvidenceLedger ledger = new EvidenceLedger(plan, found.words());
      ledger.restore();
      assertThat(ledger.mark()).isEqualTo(77);
      assertThat(Exposure.isFlipped(ledger.exposure())).isTrue();
      assertThat(ledger.liveDispatched(0)).isEqualTo(1);
      assertThat(ledger.trip()).isEqualTo(trip);
    }
  }

  @Test
  void aMissingOrWrongFileIsSaidToBeSo() throws Exception {
    try (LedgerFiles files = new LedgerFiles(directory)) {
      assertThat(files.open("r", 64)).isEqualTo(new Opened.Missing());
      Files.write(directory.resolve("r.ledger"), new byte[64 * 8 - 1]);
      assertThat(files.open("r", 64))
          .isEqualTo(
              new Opened.Unusable(
                  "%s has 511 bytes; the ledger of rollout 'r' has 512".formatted(directory.resolve("r.ledger"))));
      Files.delete(directory.resolve("r.ledger"));
      Files.createDirectory(directory.resolve("r.ledger"));
      assertThat(files.open("r", (int) (Files.size(directory.resolve("r.ledger")) / 8)))
          .isInstanceOf(Opened.Unusable.class);
    }
  }

  @Test
  void theLeftoverOfAnUnfinishedCreationIsReplaced() {
    try (LedgerFiles files = new LedgerFiles(directory)) {
      files.create("r", 64).set(16, 5);
    }
    try (LedgerFiles files = new LedgerFiles(directory)) {
      assertThat(files.create("r", 64).get(16)).isZero();
    }
  }

  @Test
  void aRetiredLedgerIsUnmappedAndItsFileStays() {
    try (LedgerFiles files = new LedgerFiles(directory)) {
      LedgerWords words = files.create("r", 64);
      words.set(3, 9);
      files.force("r");
      files.retire("r");
      files.retire("r");
      assertThatThrownBy(() -> words.get(3)).isInstanceOf(IllegalStateException.class);
      assertThat(((Opened.Found) files.open("r", 64)).words().get(3)).isEqualTo(9);
    }
  }

  @Test
  void namesSizesAndTheNumberOfMappingsAreBounded() {
    try (LedgerFiles files = new LedgerFiles(directory)) {
      for (String name : List.of("../r", "", "R", "a/b", "r\0")) {
        assertThatThrownBy(() -> files.open(name, 64)).hasMessageContaining("is not the name of a rollout");
      }
      assertThatThrownBy(() -> files.create("r", 0)).hasMessage("0 words are not between 1 and 8388608");
      assertThatThrownBy(() -> files.force("r")).hasMessage("no ledger is mapped for rollout 'r'");
      for (int i = 0; i < 3; i++) {
        files.create("r" + i, 64);
      }
      assertThatThrownBy(() -> files.create("r1", 64)).hasMessageContaining("is mapped already");
    }
    try (LedgerFiles few = new LedgerFiles(directory, 3)) {
      for (int i = 0; i < 3; i++) {
        few.open("r" + i, 64);
      }
      assertThatThrownBy(() -> few.create("one-more", 64)).hasMessage("3 ledgers are mapped, at most 3 allowed");
      few.retire("r0");
      few.create("one-more", 64);
    }
  }
}
