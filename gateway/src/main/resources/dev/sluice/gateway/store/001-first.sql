-- One row: the newest revision, and the hash of its event.
CREATE TABLE head (
  one      INTEGER PRIMARY KEY CHECK (one = 1),
  revision INTEGER NOT NULL,
  hash     TEXT NOT NULL
) STRICT;
INSERT INTO head VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

CREATE TABLE rollouts (
  name            TEXT PRIMARY KEY,
  note_yaml       TEXT NOT NULL,
  note_sha256     TEXT NOT NULL,
  salt            INTEGER NOT NULL,
  state           TEXT NOT NULL,      -- JSON, see RolloutStateJson
  reason          TEXT NOT NULL,
  stop_rule       TEXT,               -- the stop columns: all of them, or none
  stop_segment    TEXT,
  stop_bad        INTEGER,
  stop_dispatched INTEGER,
  stop_boundary   INTEGER,
  stop_millis     INTEGER,
  stop_flip_nanos INTEGER,
  revision        INTEGER NOT NULL,
  created_millis  INTEGER NOT NULL,
  updated_millis  INTEGER NOT NULL,
  checksum        TEXT NOT NULL
) STRICT;

-- Versions that a promotion made a model's default.
CREATE TABLE serving (
  model    TEXT PRIMARY KEY,
  version  INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  checksum TEXT NOT NULL
) STRICT;

CREATE TABLE events (
  revision    INTEGER PRIMARY KEY,
  time_millis INTEGER NOT NULL,
  rollout     TEXT NOT NULL,
  actor       TEXT NOT NULL,
  kind        TEXT NOT NULL,
  reason      TEXT NOT NULL,
  detail      TEXT NOT NULL,
  hash        TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_rollout ON events (rollout, revision);
CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
  BEGIN SELECT RAISE(ABORT, 'audit events are never changed'); END;
CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
  BEGIN SELECT RAISE(ABORT, 'audit events are never deleted'); END;

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;
