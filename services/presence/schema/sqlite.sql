-- Generated: the schema after all migrations. Do not edit; a test says how to write it anew.

CREATE TABLE user_presence (
    user_id TEXT NOT NULL PRIMARY KEY,
    status INTEGER NOT NULL DEFAULT 1 CHECK (status IN (1, 2, 3, 4)),
    -- Minutes since the Unix epoch; null: never seen by others. Stands still while the user is invisible.
    last_seen_minute INTEGER
) STRICT, WITHOUT ROWID;
