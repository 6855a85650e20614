package dev.sluice.gateway.control;

import dev.sluice.gateway.control.ControlFailure.Kind;
import dev.sluice.gateway.note.NoteProblemsException;
import dev.sluice.gateway.note.NoteReader;
import dev.sluice.router.rollout.RolloutNote;

/// Notes as the control plane takes them: read whole, or refused with everything that is wrong.
final class Notes {

  private Notes() {}

  static RolloutNote read(String yaml) throws ControlFailure {
    try {
      return NoteReader.read(yaml);
    } catch (NoteProblemsException e) {
      throw new ControlFailure(Kind.INVALID_NOTE, String.valueOf(e.getMessage()), e.problems());
    }
  }
}
