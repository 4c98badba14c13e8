-- The entry that pinned the message; null: it is not pinned.
ALTER TABLE message_state ADD COLUMN pin_seq INTEGER;

CREATE INDEX message_state_by_pin ON message_state (conversation_id, pin_seq) WHERE pin_seq IS NOT NULL;

-- Who has given which reaction to which message.
CREATE TABLE message_reaction (
    conversation_id BLOB    NOT NULL,
    message_seq     INTEGER NOT NULL,
    emoji           TEXT    NOT NULL,
    user_id         TEXT    NOT NULL,
    -- The entry that gave it: the oldest kind is shown first.
    reaction_seq    INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, message_seq, emoji, user_id)
) STRICT, WITHOUT ROWID;

-- What has reached a device of the user. Rows of before have 0, and what is read was delivered.
ALTER TABLE position ADD COLUMN delivered_seq INTEGER NOT NULL DEFAULT 0;
