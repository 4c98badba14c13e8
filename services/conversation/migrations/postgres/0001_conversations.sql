-- Conversations, members, the outbox of system entries, requests, blocks, and the directory of users.
--
-- Whatever is compared or sorted compares by bytes (COLLATE "C"). Times are milliseconds since the Unix epoch.
-- Kinds: 1 direct, 2 group. Roles: 1 member, 2 admin, 3 owner. Histories: 1 shared, 2 since joining.

CREATE TABLE conversation (
    conversation_id uuid PRIMARY KEY,
    kind smallint NOT NULL CHECK (kind IN (1, 2)),
    name text NOT NULL,
    -- The name of a group, folded: what a list by name is sorted by.
    name_key text COLLATE "C" NOT NULL DEFAULT '',
    description text NOT NULL,
    avatar_url text NOT NULL,
    history smallint NOT NULL DEFAULT 1 CHECK (history IN (1, 2)),
    -- A JSON object of texts. As text: jsonb does not take every character.
    metadata text NOT NULL DEFAULT '{}',
    created_at_ms bigint NOT NULL,
    updated_at_ms bigint NOT NULL,
    -- Counts the changes that made a system entry; 0 for ever in a direct.
    version bigint NOT NULL,
    member_count integer NOT NULL CHECK (member_count >= 0),
    -- When the group was deleted. Its stays and its outbox outlive it.
    deleted_at_ms bigint
);

-- Exactly one direct for each pair (C8). With oneself both are the same. The row of the conversation comes after this one.
CREATE TABLE direct_pair (
    user_low text COLLATE "C" NOT NULL,
    user_high text COLLATE "C" NOT NULL,
    conversation_id uuid NOT NULL UNIQUE REFERENCES conversation (conversation_id) DEFERRABLE INITIALLY DEFERRED,
    PRIMARY KEY (user_low, user_high),
    CHECK (user_low <= user_high)
);

-- Who belongs to a conversation now.
CREATE TABLE member (
    conversation_id uuid NOT NULL REFERENCES conversation (conversation_id),
    user_id text COLLATE "C" NOT NULL,
    kind smallint NOT NULL CHECK (kind IN (1, 2)),
    role smallint NOT NULL CHECK (role IN (1, 2, 3)),
    -- The version of the change that began the present stay: the key of its row in member_span.
    from_version bigint NOT NULL,
    joined_at_ms bigint NOT NULL,
    pinned boolean NOT NULL DEFAULT false,
    archived boolean NOT NULL DEFAULT false,
    -- False: a direct without a message, which only its creator has in the list.
    listed boolean NOT NULL DEFAULT true,
    -- What the list goes by: the last activity known, or the joining.
    list_at_ms bigint NOT NULL,
    -- The other user of a direct.
    peer_user_id text COLLATE "C",
    -- Null: not muted.
    mute_until_ms bigint,
    nickname text NOT NULL DEFAULT '',
    -- The nickname, folded.
    nickname_key text COLLATE "C" NOT NULL DEFAULT '',
    -- Entries up to this seq are hidden from the member.
    cleared_seq bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, user_id)
);

-- The list of a user and the list of archived ones: read from its end.
CREATE INDEX member_by_list ON member (user_id, archived, pinned, list_at_ms, conversation_id) WHERE listed;

-- All memberships of a user in an order that no activity changes.
CREATE INDEX member_by_user ON member (user_id, conversation_id);

-- One row for each stay. The seqs are null until the entry is in the log.
CREATE TABLE member_span (
    conversation_id uuid NOT NULL REFERENCES conversation (conversation_id),
    user_id text COLLATE "C" NOT NULL,
    from_version bigint NOT NULL,
    from_seq bigint,
    to_version bigint,
    to_seq bigint,
    -- What the member had cleared when the stay ended: the next one goes on from there.
    cleared_seq bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, user_id, from_version)
);

CREATE INDEX member_span_without_from ON member_span (conversation_id, from_version) WHERE from_seq IS NULL;
CREATE INDEX member_span_without_to ON member_span (conversation_id, to_version)
    WHERE to_version IS NOT NULL AND to_seq IS NULL;

-- The newest message known here; the greatest seq wins.
CREATE TABLE conversation_activity (
    conversation_id uuid PRIMARY KEY REFERENCES conversation (conversation_id),
    last_seq bigint NOT NULL,
    last_at_ms bigint NOT NULL
);

-- System entries that the log does not have yet.
CREATE TABLE outbox (
    conversation_id uuid NOT NULL REFERENCES conversation (conversation_id),
    version bigint NOT NULL,
    actor_user_id text COLLATE "C" NOT NULL,
    -- A protobuf viberchat.message.v1.EntryBody.
    entry bytea NOT NULL,
    created_at_ms bigint NOT NULL,
    PRIMARY KEY (conversation_id, version)
);

-- First results by request id, for those who ask again (C2).
CREATE TABLE request (
    caller text COLLATE "C" NOT NULL,
    method text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    response bytea NOT NULL,
    -- The entry that the request made, if it made one; its seq once the log has it.
    conversation_id uuid,
    version bigint,
    seq bigint,
    -- The service that acted for the caller, if one did.
    acting_service text,
    expires_at_ms bigint NOT NULL,
    PRIMARY KEY (caller, method, request_id)
);

CREATE INDEX request_by_expiry ON request (expires_at_ms);
CREATE INDEX request_without_seq ON request (conversation_id, version) WHERE version IS NOT NULL AND seq IS NULL;

-- What those who watch memberships have to hear, as its transaction left it. Kinds: 1 the stays that began with `version`
-- are in the log, 2 the user got the conversation, 3 the conversation changed, 4 something of the user's own changed,
-- 5 the user was removed (`role`: the last one). Whoever reads changes moves what is committed into membership_change.
CREATE TABLE pending_change (
    pending_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id uuid NOT NULL,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 5),
    version bigint NOT NULL,
    user_id text COLLATE "C",
    role smallint,
    at_ms bigint NOT NULL
)
-- It is empty nearly always, and emptied many times a second.
WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The same, numbered in commit order without a hole.
CREATE TABLE membership_change (
    change_id bigint PRIMARY KEY,
    conversation_id uuid NOT NULL,
    kind smallint NOT NULL CHECK (kind BETWEEN 1 AND 5),
    version bigint NOT NULL,
    user_id text COLLATE "C",
    role smallint,
    at_ms bigint NOT NULL
);

-- What one user has missed: changes that name the user, and those of the user's conversations that name nobody.
CREATE INDEX membership_change_by_user ON membership_change (user_id, change_id) WHERE user_id IS NOT NULL;
CREATE INDEX membership_change_by_conversation ON membership_change (conversation_id, change_id) WHERE user_id IS NULL;

-- One row: the newest number. Who numbers holds it.
CREATE TABLE change_counter (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    newest bigint NOT NULL
);

INSERT INTO change_counter (newest) VALUES (0);

-- Who wants nothing of whom.
CREATE TABLE block (
    user_id text COLLATE "C" NOT NULL,
    blocked_user_id text COLLATE "C" NOT NULL,
    blocked_at_ms bigint NOT NULL,
    PRIMARY KEY (user_id, blocked_user_id)
);

CREATE TABLE user_profile (
    user_id text COLLATE "C" PRIMARY KEY,
    username text NOT NULL,
    display_name text NOT NULL,
    avatar_url text NOT NULL,
    email text NOT NULL DEFAULT '',
    -- The name that is shown, folded: what a search is sorted by.
    sort_key text COLLATE "C" NOT NULL,
    -- Null: active.
    deactivated_at_ms bigint
);

-- The folded text from each beginning of a word in the names of a user.
CREATE TABLE user_word (
    word text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL REFERENCES user_profile (user_id) ON DELETE CASCADE,
    sort_key text COLLATE "C" NOT NULL,
    PRIMARY KEY (word, user_id)
);

CREATE INDEX user_word_by_user ON user_word (user_id);

-- The first one to three characters of each such text: many users share them, and a short search is a walk through this
-- key, already in order.
CREATE TABLE user_prefix (
    prefix text COLLATE "C" NOT NULL,
    sort_key text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL REFERENCES user_profile (user_id) ON DELETE CASCADE,
    PRIMARY KEY (prefix, sort_key, user_id)
);

CREATE INDEX user_prefix_by_user ON user_prefix (user_id);
