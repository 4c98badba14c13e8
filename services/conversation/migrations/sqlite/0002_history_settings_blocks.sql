-- History visibility and metadata of groups, more settings of members, blocks, deactivated users, deleted groups.
--
-- Histories: 1 shared, 2 since joining.

ALTER TABLE conversation ADD COLUMN history INTEGER NOT NULL DEFAULT 1 CHECK (history IN (1, 2));
-- A JSON object of texts.
ALTER TABLE conversation ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
-- The name of a group, folded: what a list by name is sorted by.
ALTER TABLE conversation ADD COLUMN name_key TEXT NOT NULL DEFAULT '';
-- When the group was deleted. Its stays and its outbox outlive it.
ALTER TABLE conversation ADD COLUMN deleted_at_ms INTEGER;

-- Without regard to case in ASCII only, until the next change of the name.
UPDATE conversation SET name_key = lower(substr(name, 1, 64)) WHERE kind = 2;

-- Null: not muted.
ALTER TABLE member ADD COLUMN mute_until_ms INTEGER;
ALTER TABLE member ADD COLUMN archived INTEGER NOT NULL DEFAULT 0 CHECK (archived IN (0, 1));
ALTER TABLE member ADD COLUMN nickname TEXT NOT NULL DEFAULT '';
-- The nickname, folded.
ALTER TABLE member ADD COLUMN nickname_key TEXT NOT NULL DEFAULT '';
-- Entries up to this seq are hidden from the member.
ALTER TABLE member ADD COLUMN cleared_seq INTEGER NOT NULL DEFAULT 0;

-- What the member had cleared when the stay ended: the next one goes on from there.
ALTER TABLE member_span ADD COLUMN cleared_seq INTEGER NOT NULL DEFAULT 0;

-- The list of a user and the list of archived ones: read from its end. Stands in for member_by_list, which stays for
-- processes of the release before.
CREATE INDEX member_by_archived_list ON member (user_id, archived, pinned, list_at_ms, conversation_id, kind)
    WHERE listed = 1;

-- Who wants nothing of whom.
CREATE TABLE block (
    user_id TEXT NOT NULL,
    blocked_user_id TEXT NOT NULL,
    blocked_at_ms INTEGER NOT NULL,
    PRIMARY KEY (user_id, blocked_user_id)
) STRICT, WITHOUT ROWID;

ALTER TABLE user_profile ADD COLUMN email TEXT NOT NULL DEFAULT '';
-- Null: active.
ALTER TABLE user_profile ADD COLUMN deactivated_at_ms INTEGER;

-- What one user has missed: changes that name the user, and those of the user's conversations that name nobody.
CREATE INDEX membership_change_by_user ON membership_change (user_id, change_id) WHERE user_id IS NOT NULL;
CREATE INDEX membership_change_by_conversation ON membership_change (conversation_id, change_id) WHERE user_id IS NULL;
