-- Generated: the schema after all migrations. Do not edit; a test says how to write it anew.

CREATE TABLE schema_version (
    version bigint NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY (version)
);

CREATE TABLE user_presence (
    user_id text COLLATE "C" NOT NULL,
    status smallint,
    last_seen_minute bigint,
    PRIMARY KEY (user_id),
    CHECK ((status = ANY (ARRAY[1, 2, 3, 4])))
);
