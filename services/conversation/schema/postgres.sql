-- Generated: the schema after all migrations. Do not edit; a test says how to write it anew.

CREATE TABLE block (
    user_id text COLLATE "C" NOT NULL,
    blocked_user_id text COLLATE "C" NOT NULL,
    blocked_at_ms bigint NOT NULL,
    PRIMARY KEY (user_id, blocked_user_id)
);

CREATE TABLE change_counter (
    only_row boolean NOT NULL DEFAULT true,
    newest bigint NOT NULL,
    PRIMARY KEY (only_row),
    CHECK (only_row)
);

CREATE TABLE conversation (
    conversation_id uuid NOT NULL,
    kind smallint NOT NULL,
    name text NOT NULL,
    name_key text COLLATE "C" NOT NULL DEFAULT ''::text,
    description text NOT NULL,
    avatar_url text NOT NULL,
    history smallint NOT NULL DEFAULT 1,
    metadata text NOT NULL DEFAULT '{}'::text,
    created_at_ms bigint NOT NULL,
    updated_at_ms bigint NOT NULL,
    version bigint NOT NULL,
    member_count integer NOT NULL,
    deleted_at_ms bigint,
    PRIMARY KEY (conversation_id),
    CHECK ((history = ANY (ARRAY[1, 2]))),
    CHECK ((kind = ANY (ARRAY[1, 2]))),
    CHECK ((member_count >= 0))
);

CREATE TABLE conversation_activity (
    conversation_id uuid NOT NULL,
    last_seq bigint NOT NULL,
    last_at_ms bigint NOT NULL,
    PRIMARY KEY (conversation_id),
    FOREIGN KEY (conversation_id) REFERENCES conversation(conversation_id)
);

CREATE TABLE direct_pair (
    user_low text COLLATE "C" NOT NULL,
    user_high text COLLATE "C" NOT NULL,
    conversation_id uuid NOT NULL,
    PRIMARY KEY (user_low, user_high),
    UNIQUE (conversation_id),
    FOREIGN KEY (conversation_id) REFERENCES conversation(conversation_id) DEFERRABLE INITIALLY DEFERRED,
    CHECK ((user_low <= user_high))
);

CREATE TABLE member (
    conversation_id uuid NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    kind smallint NOT NULL,
    role smallint NOT NULL,
    from_version bigint NOT NULL,
    joined_at_ms bigint NOT NULL,
    pinned boolean NOT NULL DEFAULT false,
    archived boolean NOT NULL DEFAULT false,
    listed boolean NOT NULL DEFAULT true,
    list_at_ms bigint NOT NULL,
    peer_user_id text COLLATE "C",
    mute_until_ms bigint,
    nickname text NOT NULL DEFAULT ''::text,
    nickname_key text COLLATE "C" NOT NULL DEFAULT ''::text,
    cleared_seq bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, user_id),
    FOREIGN KEY (conversation_id) REFERENCES conversation(conversation_id),
    CHECK ((kind = ANY (ARRAY[1, 2]))),
    CHECK ((role = ANY (ARRAY[1, 2, 3])))
);

CREATE INDEX member_by_list ON member USING btree (user_id, archived, pinned, list_at_ms, conversation_id) WHERE listed;

CREATE INDEX member_by_user ON member USING btree (user_id, conversation_id);

CREATE TABLE member_span (
    conversation_id uuid NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    from_version bigint NOT NULL,
    from_seq bigint,
    to_version bigint,
    to_seq bigint,
    cleared_seq bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation_id, user_id, from_version),
    FOREIGN KEY (conversation_id) REFERENCES conversation(conversation_id)
);

CREATE INDEX member_span_without_from ON member_span USING btree (conversation_id, from_version) WHERE from_seq IS NULL;

CREATE INDEX member_span_without_to ON member_span USING btree (conversation_id, to_version) WHERE to_version IS NOT NULL AND to_seq IS NULL;

CREATE TABLE membership_change (
    change_id bigint NOT NULL,
    conversation_id uuid NOT NULL,
    kind smallint NOT NULL,
    version bigint NOT NULL,
    user_id text COLLATE "C",
    role smallint,
    at_ms bigint NOT NULL,
    PRIMARY KEY (change_id),
    CHECK (((kind >= 1) AND (kind <= 5)))
);

CREATE INDEX membership_change_by_conversation ON membership_change USING btree (conversation_id, change_id) WHERE user_id IS NULL;

CREATE INDEX membership_change_by_user ON membership_change USING btree (user_id, change_id) WHERE user_id IS NOT NULL;

CREATE TABLE outbox (
    conversation_id uuid NOT NULL,
    version bigint NOT NULL,
    actor_user_id text COLLATE "C" NOT NULL,
    entry bytea NOT NULL,
    created_at_ms bigint NOT NULL,
    PRIMARY KEY (conversation_id, version),
    FOREIGN KEY (conversation_id) REFERENCES conversation(conversation_id)
);

CREATE TABLE pending_change (
    pending_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    conversation_id uuid NOT NULL,
    kind smallint NOT NULL,
    version bigint NOT NULL,
    user_id text COLLATE "C",
    role smallint,
    at_ms bigint NOT NULL,
    PRIMARY KEY (pending_id),
    CHECK (((kind >= 1) AND (kind <= 5)))
);

CREATE TABLE request (
    caller text COLLATE "C" NOT NULL,
    method text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    response bytea NOT NULL,
    conversation_id uuid,
    version bigint,
    seq bigint,
    acting_service text,
    expires_at_ms bigint NOT NULL,
    PRIMARY KEY (caller, method, request_id)
);

CREATE INDEX request_by_expiry ON request USING btree (expires_at_ms);

CREATE INDEX request_without_seq ON request USING btree (conversation_id, version) WHERE version IS NOT NULL AND seq IS NULL;

CREATE TABLE schema_version (
    version bigint NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY (version)
);

CREATE TABLE user_prefix (
    prefix text COLLATE "C" NOT NULL,
    sort_key text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (prefix, sort_key, user_id),
    FOREIGN KEY (user_id) REFERENCES user_profile(user_id) ON DELETE CASCADE
);

CREATE INDEX user_prefix_by_user ON user_prefix USING btree (user_id);

CREATE TABLE user_profile (
    user_id text COLLATE "C" NOT NULL,
    username text NOT NULL,
    display_name text NOT NULL,
    avatar_url text NOT NULL,
    email text NOT NULL DEFAULT ''::text,
    sort_key text COLLATE "C" NOT NULL,
    deactivated_at_ms bigint,
    PRIMARY KEY (user_id)
);

CREATE TABLE user_word (
    word text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    sort_key text COLLATE "C" NOT NULL,
    PRIMARY KEY (word, user_id),
    FOREIGN KEY (user_id) REFERENCES user_profile(user_id) ON DELETE CASCADE
);

CREATE INDEX user_word_by_user ON user_word USING btree (user_id);
