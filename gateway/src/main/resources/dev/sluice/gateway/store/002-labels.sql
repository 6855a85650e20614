-- Names for versions that callers use in place of a number.
CREATE TABLE labels (
  model    TEXT NOT NULL,
  label    TEXT NOT NULL,
  version  INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  checksum TEXT NOT NULL,
  PRIMARY KEY (model, label)
) STRICT;
