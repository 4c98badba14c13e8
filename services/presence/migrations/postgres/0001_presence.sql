-- What has to outlive a restart of each user who was ever here.
--
-- Users compare by bytes (COLLATE "C"). Statuses: 1 online, 2 away, 3 busy, 4 invisible, as the user has set it.

CREATE TABLE user_presence (
    user_id text COLLATE "C" PRIMARY KEY,
    -- Null: never set, which is online.
    status smallint CHECK (status IN (1, 2, 3, 4)),
    -- Minutes since the Unix epoch; null: never seen by others. Stands still while the user is invisible.
    last_seen_minute bigint
);
