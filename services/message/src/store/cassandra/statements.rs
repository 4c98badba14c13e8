//! Every statement, prepared once. All are of one partition and carry its key, so that the driver sends them to a replica.

use scylla::client::session::Session;
use scylla::errors::PrepareError;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use super::row::entry_columns;

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident: $consistency:ident $text:expr;)*) => {
        /// What is asked of the engine.
        pub(super) struct Statements {
            $($(#[$doc])* pub(super) $name: PreparedStatement,)*
        }

        impl Statements {
            pub(super) async fn prepare(session: &Session) -> Result<Self, PrepareError> {
                Ok(Self { $($name: prepare(session, $text, Consistency::$consistency).await?,)* })
            }

            /// Those that are conditional, or part of a conditional batch: nothing repeats them.
            fn forbid_repeating(&mut self) {
                for statement in [&mut self.condition, &mut self.opening, &mut self.entry, &mut self.id] {
                    statement.set_is_idempotent(false);
                }
            }
        }
    };
}

async fn prepare(session: &Session, text: &str, consistency: Consistency) -> Result<PreparedStatement, PrepareError> {
    let mut statement = session.prepare(text).await?;
    statement.set_consistency(consistency);
    // Reads, and writes that name their own time: repeating them changes nothing.
    statement.set_is_idempotent(true);
    Ok(statement)
}

const ENTRIES_UP: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM conversation_log WHERE conversation_id = ? AND bucket = ? AND section = 0 AND seq >= ? LIMIT ?"
);
const ENTRIES_DOWN: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM conversation_log WHERE conversation_id = ? AND bucket = ? AND section = 0 AND seq <= ? \
     ORDER BY section DESC, seq DESC, key DESC LIMIT ?"
);
const IDS: &str = "SELECT key, entry_seq, fingerprint FROM conversation_log \
     WHERE conversation_id = ? AND bucket = ? AND section = 1 AND seq = 0 AND key IN ?";

statements! {
    /// The condition of an append: the bucket's last entry.
    condition: LocalQuorum
        "UPDATE conversation_log SET head_seq = ? WHERE conversation_id = ? AND bucket = ? IF head_seq = ?";
    /// The condition of a bucket's first append.
    opening: LocalQuorum
        "UPDATE conversation_log SET head_seq = ?, opened_at = ? WHERE conversation_id = ? AND bucket = ? IF head_seq = null";
    /// An entry.
    entry: LocalQuorum
        "INSERT INTO conversation_log (conversation_id, bucket, section, seq, key, message_no, last_message_seq, \
         conversation_version, kind, target_seq, actor_user_id, request_id, fingerprint, create_time_ms, body, effects) \
         VALUES (?, ?, 0, ?, '', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    /// The id of a write; eight days, one more than the contract promises.
    id: LocalQuorum
        "INSERT INTO conversation_log (conversation_id, bucket, section, seq, key, entry_seq, fingerprint) \
         VALUES (?, ?, 1, 0, ?, ?, ?) USING TTL 691200";

    /// Entries from a place on.
    entries_up: LocalQuorum ENTRIES_UP;
    /// The same, after whatever is under way has ended.
    entries_up_serial: LocalSerial ENTRIES_UP;
    /// Entries down from a place.
    entries_down: LocalQuorum ENTRIES_DOWN;
    /// The same, after whatever is under way has ended.
    entries_down_serial: LocalSerial ENTRIES_DOWN;
    /// Ids in the newest bucket.
    ids: LocalQuorum IDS;
    /// Ids in an older one.
    ids_serial: LocalSerial IDS;
    /// When a bucket was opened.
    opened_at: LocalQuorum
        "SELECT opened_at FROM conversation_log WHERE conversation_id = ? AND bucket = ? LIMIT 1";
    /// When a body was written.
    body_time: LocalSerial
        "SELECT WRITETIME(body) FROM conversation_log \
         WHERE conversation_id = ? AND bucket = ? AND section = 0 AND seq = ? AND key = ''";

    /// The hints about a log's end.
    tail: LocalQuorum
        "SELECT newest_bucket, projected_seq, generation FROM conversation_tail WHERE conversation_id = ?";
    /// Writes them.
    set_tail: LocalQuorum
        "UPDATE conversation_tail USING TIMESTAMP ? SET newest_bucket = ?, projected_seq = ? WHERE conversation_id = ?";

    /// An edit. Its place is kept for the erasure.
    edit: LocalQuorum
        "UPDATE conversation_log USING TIMESTAMP ? SET edit_seq = ?, edit_time_ms = ?, edit_body = ?, edits = edits + ? \
         WHERE conversation_id = ? AND bucket = ? AND section = 0 AND seq = ? AND key = ''";
    /// A deletion; the last edit's text goes with it.
    delete: LocalQuorum
        "UPDATE conversation_log USING TIMESTAMP ? SET delete_seq = ?, delete_time_ms = ?, edit_body = ? \
         WHERE conversation_id = ? AND bucket = ? AND section = 0 AND seq = ? AND key = ''";
    /// Overwrites a body, and says so at once: nobody may take what is left for what was written.
    erase: LocalQuorum
        "UPDATE conversation_log USING TIMESTAMP ? SET body = ?, erased = true \
         WHERE conversation_id = ? AND bucket = ? AND section = 0 AND seq = ? AND key = ''";
    /// A pin.
    pin: LocalQuorum
        "UPDATE conversation_log USING TIMESTAMP ? SET pin_seq = ?, pin_time_ms = ?, pin_user_id = ? \
         WHERE conversation_id = ? AND bucket = ? AND section = 0 AND seq = ? AND key = ''";
    /// A pin's end.
    unpin: LocalQuorum
        "UPDATE conversation_log USING TIMESTAMP ? SET pin_seq = 0 \
         WHERE conversation_id = ? AND bucket = ? AND section = 0 AND seq = ? AND key = ''";
    /// A pin among those of its log; 0: its end.
    set_pin: LocalQuorum
        "UPDATE message_pin USING TIMESTAMP ? SET pin_seq = ? WHERE conversation_id = ? AND message_seq = ?";
    /// All pins of a log, ended ones too.
    pins: LocalQuorum
        "SELECT message_seq, pin_seq FROM message_pin WHERE conversation_id = ?";

    /// Says that there are reactions, or were.
    set_reacted: LocalQuorum
        "UPDATE conversation_log USING TIMESTAMP ? SET reacted = true \
         WHERE conversation_id = ? AND bucket = ? AND section = 0 AND seq = ? AND key = ''";
    /// A reaction, or its end.
    react: LocalQuorum
        "UPDATE message_reaction USING TIMESTAMP ? SET given = ?, reaction_seq = ? \
         WHERE conversation_id = ? AND bucket = ? AND message_seq = ? AND emoji = ? AND user_id = ?";
    /// The reactions to the messages of a stretch.
    reactions: LocalQuorum
        "SELECT message_seq, emoji, user_id, given, reaction_seq FROM message_reaction \
         WHERE conversation_id = ? AND bucket = ? AND message_seq >= ? AND message_seq <= ?";
    /// One reaction.
    reaction: LocalQuorum
        "SELECT given FROM message_reaction \
         WHERE conversation_id = ? AND bucket = ? AND message_seq = ? AND emoji = ? AND user_id = ?";

    /// A read position.
    set_read: LocalQuorum
        "UPDATE position USING TIMESTAMP ? SET read_seq = ?, read_message_no = ? WHERE conversation_id = ? AND user_id = ?";
    /// A delivered position.
    set_delivered: LocalQuorum
        "UPDATE position USING TIMESTAMP ? SET delivered_seq = ? WHERE conversation_id = ? AND user_id = ?";
    /// A member is gone.
    set_departed: LocalQuorum
        "UPDATE position USING TIMESTAMP ? SET departed_seq = ? WHERE conversation_id = ? AND user_id = ?";
    /// The position of a user.
    position: LocalQuorum
        "SELECT user_id, read_seq, read_message_no, delivered_seq, departed_seq FROM position \
         WHERE conversation_id = ? AND user_id = ?";
    /// Positions by user.
    positions: LocalQuorum
        "SELECT user_id, read_seq, read_message_no, delivered_seq, departed_seq FROM position \
         WHERE conversation_id = ? AND user_id > ? LIMIT ?";

    /// Whether the engine answers.
    ping: LocalOne "SELECT key FROM system.local WHERE key = 'local'";
}

impl Statements {
    /// All of them, ready.
    pub(super) async fn ready(session: &Session) -> Result<Self, PrepareError> {
        let mut statements = Self::prepare(session).await?;
        statements.forbid_repeating();
        Ok(statements)
    }
}
