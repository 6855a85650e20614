-- The weight of the evidence at a stop, and how many-th attempt at the same candidate a rollout is.
ALTER TABLE rollouts ADD COLUMN stop_evidence REAL;
ALTER TABLE rollouts ADD COLUMN stop_threshold REAL;
ALTER TABLE rollouts ADD COLUMN stop_line INTEGER;
ALTER TABLE rollouts ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
