-- Generated: the schema after all migrations. Do not edit; a test says how to write it anew.

CREATE TABLE block (
    user_id TEXT NOT NULL,
    blocked_user_id TEXT NOT NULL,
    blocked_at_ms INTEGER NOT NULL,
    PRIMARY KEY (user_id, blocked_user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE conversation (
    conversation_id BLOB NOT NULL PRIMARY KEY CHECK (length(conversation_id) = 16),
    kind INTEGER NOT NULL CHECK (kind IN (1, 2)),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    avatar_url TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    -- Counts the changes that made a system entry; 0 for ever in a direct.
    version INTEGER NOT NULL,
    member_count INTEGER NOT NULL CHECK (member_count >= 0)
, history INTEGER NOT NULL DEFAULT 1 CHECK (history IN (1, 2)), metadata TEXT NOT NULL DEFAULT '{}', name_key TEXT NOT NULL DEFAULT '', deleted_at_ms INTEGER) STRICT, WITHOUT ROWID;

CREATE TABLE conversation_activity (
    conversation_id BLOB NOT NULL PRIMARY KEY REFERENCES conversation (conversation_id),
    last_seq INTEGER NOT NULL,
    last_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE direct_pair (
    user_low TEXT NOT NULL,
    user_high TEXT NOT NULL,
    conversation_id BLOB NOT NULL UNIQUE REFERENCES conversation (conversation_id) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (user_low, user_high),
    CHECK (user_low <= user_high)
) STRICT, WITHOUT ROWID;

CREATE TABLE member (
    conversation_id BLOB NOT NULL REFERENCES conversation (conversation_id),
    user_id TEXT NOT NULL,
    kind INTEGER NOT NULL CHECK (kind IN (1, 2)),
    role INTEGER NOT NULL CHECK (role IN (1, 2, 3)),
    -- The version of the change that began the present stay: the key of its row in member_span.
    from_version INTEGER NOT NULL,
    joined_at_ms INTEGER NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
    -- 0: a direct without a message, which only its creator has in the list.
    listed INTEGER NOT NULL DEFAULT 1 CHECK (listed IN (0, 1)),
    -- What the list goes by: the last activity known, or the joining.
    list_at_ms INTEGER NOT NULL,
    -- The other user of a direct.
    peer_user_id TEXT, mute_until_ms INTEGER, archived INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1)), nickname TEXT NOT NULL DEFAULT '', nickname_key TEXT NOT NULL DEFAULT '', cleared_seq INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_by_archived_list ON member (user_id, archived, pinned, list_at_ms, conversation_id, kind)
    WHERE listed = 1;

CREATE INDEX member_by_list ON member (user_id, pinned, list_at_ms, conversation_id, kind) WHERE listed = 1;

CREATE INDEX member_by_user ON member (user_id, conversation_id);

CREATE TABLE member_span (
    conversation_id BLOB NOT NULL REFERENCES conversation (conversation_id),
    user_id TEXT NOT NULL,
    from_version INTEGER NOT NULL,
    from_seq INTEGER,
    to_version INTEGER,
    to_seq INTEGER, cleared_seq INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, user_id, from_version)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_span_without_from ON member_span (conversation_id, from_version) WHERE from_seq IS NULL;

CREATE INDEX member_span_without_to ON member_span (conversation_id, to_version)
    WHERE to_version IS NOT NULL AND to_seq IS NULL;

CREATE TABLE membership_change (
    change_id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id BLOB NOT NULL,
    kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 5),
    version INTEGER NOT NULL,
    user_id TEXT,
    role INTEGER,
    at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX membership_change_by_conversation ON membership_change (conversation_id, change_id) WHERE user_id IS NULL;

CREATE INDEX membership_change_by_user ON membership_change (user_id, change_id) WHERE user_id IS NOT NULL;

CREATE TABLE outbox (
    conversation_id BLOB NOT NULL REFERENCES conversation (conversation_id),
    version INTEGER NOT NULL,
    actor_user_id TEXT NOT NULL,
    -- A protobuf viberchat.message.v1.EntryBody.
    entry BLOB NOT NULL,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE request (
    caller TEXT NOT NULL,
    method TEXT NOT NULL,
    request_id TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    response BLOB NOT NULL,
    -- The entry that the request made, if it made one; its seq once the log has it.
    conversation_id BLOB,
    version INTEGER,
    seq INTEGER,
    -- The service that acted for the caller, if one did.
    acting_service TEXT,
    expires_at_ms INTEGER NOT NULL,
    PRIMARY KEY (caller, method, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX request_by_expiry ON request (expires_at_ms);

CREATE INDEX request_without_seq ON request (conversation_id, version) WHERE version IS NOT NULL AND seq IS NULL;

CREATE TABLE user_prefix (
    prefix TEXT NOT NULL,
    sort_key TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES user_profile (user_id) ON DELETE CASCADE,
    PRIMARY KEY (prefix, sort_key, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_prefix_by_user ON user_prefix (user_id);

CREATE TABLE user_profile (
    user_id TEXT NOT NULL PRIMARY KEY,
    username TEXT NOT NULL,
    display_name TEXT NOT NULL,
    avatar_url TEXT NOT NULL,
    -- The name that is shown, folded: what a search is sorted by.
    sort_key TEXT NOT NULL
, email TEXT NOT NULL DEFAULT '', deactivated_at_ms INTEGER) STRICT, WITHOUT ROWID;

CREATE TABLE user_word (
    word TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES user_profile (user_id) ON DELETE CASCADE,
    sort_key TEXT NOT NULL,
    PRIMARY KEY (word, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_word_by_user ON user_word (user_id);
