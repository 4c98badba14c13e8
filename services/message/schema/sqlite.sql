-- Generated from migrations/sqlite (version 2). Do not edit.

CREATE TABLE log (
    id                   INTEGER PRIMARY KEY,
    conversation_id      BLOB    NOT NULL,
    seq                  INTEGER NOT NULL,
    -- Running values up to and including this row, so that the last row of a conversation says all about its head.
    message_no           INTEGER NOT NULL,
    last_message_seq     INTEGER NOT NULL,
    conversation_version INTEGER NOT NULL,
    -- The number of the kind in `EntryBody`.
    kind                 INTEGER NOT NULL,
    -- Edits and deletions: the seq of their message.
    target_seq           INTEGER,
    actor_user_id        TEXT    NOT NULL,
    -- Null for system entries, which are told apart by their version.
    request_id           TEXT,
    fingerprint          BLOB,
    create_time_ms       INTEGER NOT NULL,
    -- 1: the text was erased; `body` is what is left of it.
    erased               INTEGER NOT NULL DEFAULT 0,
    -- An encoded `EntryBody`.
    body                 BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX log_by_seq ON log (conversation_id, seq);

CREATE UNIQUE INDEX log_by_request ON log (conversation_id, actor_user_id, request_id) WHERE request_id IS NOT NULL;

CREATE UNIQUE INDEX log_by_version ON log (conversation_id, conversation_version) WHERE request_id IS NULL;

CREATE INDEX log_by_target ON log (conversation_id, target_seq) WHERE target_seq IS NOT NULL;

CREATE TABLE message_state (
    conversation_id BLOB    NOT NULL,
    message_seq     INTEGER NOT NULL,
    edit_seq        INTEGER,
    delete_seq      INTEGER, pin_seq INTEGER,
    PRIMARY KEY (conversation_id, message_seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE position (
    conversation_id BLOB    NOT NULL,
    user_id         TEXT    NOT NULL,
    read_seq        INTEGER NOT NULL,
    read_message_no INTEGER NOT NULL, delivered_seq INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX message_state_by_pin ON message_state (conversation_id, pin_seq) WHERE pin_seq IS NOT NULL;

CREATE TABLE message_reaction (
    conversation_id BLOB    NOT NULL,
    message_seq     INTEGER NOT NULL,
    emoji           TEXT    NOT NULL,
    user_id         TEXT    NOT NULL,
    -- The entry that gave it: the oldest kind is shown first.
    reaction_seq    INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, message_seq, emoji, user_id)
) STRICT, WITHOUT ROWID;
