-- Conversations, members, the outbox of system entries, and the directory of users.
--
-- Ids of conversations are the 16 bytes of their UUID. Users compare by bytes (SQLite's BINARY, the default).
-- Times are milliseconds since the Unix epoch. Kinds: 1 direct, 2 group. Roles: 1 member, 2 admin, 3 owner.

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
) STRICT, WITHOUT ROWID;

-- Exactly one direct for each pair (C8). With oneself both are the same.
CREATE TABLE direct_pair (
    user_low TEXT NOT NULL,
    user_high TEXT NOT NULL,
    conversation_id BLOB NOT NULL UNIQUE REFERENCES conversation (conversation_id) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (user_low, user_high),
    CHECK (user_low <= user_high)
) STRICT, WITHOUT ROWID;

-- Who belongs to a conversation now.
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
    peer_user_id TEXT,
    PRIMARY KEY (conversation_id, user_id)
) STRICT, WITHOUT ROWID;

-- The list of a user: read from its end.
CREATE INDEX member_by_list ON member (user_id, pinned, list_at_ms, conversation_id, kind) WHERE listed = 1;

-- All memberships of a user in an order that no activity changes.
CREATE INDEX member_by_user ON member (user_id, conversation_id);

-- One row for each stay. The seqs are null until the entry is in the log.
CREATE TABLE member_span (
    conversation_id BLOB NOT NULL REFERENCES conversation (conversation_id),
    user_id TEXT NOT NULL,
    from_version INTEGER NOT NULL,
    from_seq INTEGER,
    to_version INTEGER,
    to_seq INTEGER,
    PRIMARY KEY (conversation_id, user_id, from_version)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_span_without_from ON member_span (conversation_id, from_version) WHERE from_seq IS NULL;
CREATE INDEX member_span_without_to ON member_span (conversation_id, to_version)
    WHERE to_version IS NOT NULL AND to_seq IS NULL;

-- The newest message known here; the greatest seq wins.
CREATE TABLE conversation_activity (
    conversation_id BLOB NOT NULL PRIMARY KEY REFERENCES conversation (conversation_id),
    last_seq INTEGER NOT NULL,
    last_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- System entries that the log does not have yet.
CREATE TABLE outbox (
    conversation_id BLOB NOT NULL REFERENCES conversation (conversation_id),
    version INTEGER NOT NULL,
    actor_user_id TEXT NOT NULL,
    -- A protobuf viberchat.message.v1.EntryBody.
    entry BLOB NOT NULL,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, version)
) STRICT, WITHOUT ROWID;

-- First results by request id, for those who ask again (C2).
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

-- What those who watch memberships have to hear, in commit order. Kinds: 1 the stays that began with `version` are in
-- the log, 2 the user got the conversation, 3 the conversation changed, 4 something of the user's own changed, 5 the
-- user was removed (`role`: the last one).
CREATE TABLE membership_change (
    change_id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id BLOB NOT NULL,
    kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 5),
    version INTEGER NOT NULL,
    user_id TEXT,
    role INTEGER,
    at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE user_profile (
    user_id TEXT NOT NULL PRIMARY KEY,
    username TEXT NOT NULL,
    display_name TEXT NOT NULL,
    avatar_url TEXT NOT NULL,
    -- The name that is shown, folded: what a search is sorted by.
    sort_key TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The folded text from each beginning of a word in the names of a user.
CREATE TABLE user_word (
    word TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES user_profile (user_id) ON DELETE CASCADE,
    sort_key TEXT NOT NULL,
    PRIMARY KEY (word, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_word_by_user ON user_word (user_id);

-- The first one to three characters of each such text: many users share them, and a short search is a walk through this
-- key, already in order.
CREATE TABLE user_prefix (
    prefix TEXT NOT NULL,
    sort_key TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES user_profile (user_id) ON DELETE CASCADE,
    PRIMARY KEY (prefix, sort_key, user_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_prefix_by_user ON user_prefix (user_id);
