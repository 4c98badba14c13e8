//! The promises of [`ConversationStore`], one function each, for every engine alike.
//!
//! Map: a module for each part of the trait. [`for_each_promise`] lists them; an engine stamps them onto itself with
//! [`stamp`], in a file of its own, and gets a test for each.

mod block;
mod deactivation;
mod direct;
mod group;
mod list;
mod request;
mod resume;
mod settings;
mod span;
mod user;
mod watch;

pub(crate) use block::*;
pub(crate) use deactivation::*;
pub(crate) use direct::*;
pub(crate) use group::*;
pub(crate) use list::*;
pub(crate) use request::*;
pub(crate) use resume::*;
pub(crate) use settings::*;
pub(crate) use span::*;
pub(crate) use user::*;
pub(crate) use watch::*;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use viberchat_kit::clock::Timestamp;
use viberchat_kit::id::{ConversationId, Entropy as _, RequestId, SystemEntropy, UserId};

use super::{Applied, ChangeError, ConversationStore, Encoded, Executed, RequestKey};
use crate::convert::encode_entry;
use crate::domain::{GroupChange, History, Limits, Metadata, NewGroup, Refusal, SettingsUpdate};

/// An engine under test: an empty store, ended when dropped.
pub(crate) trait Engine {
    type Store: ConversationStore + Clone;

    async fn start() -> Self;

    fn store(&self) -> &Self::Store;

    /// The same data through another process.
    async fn second(&self) -> Self::Store;
}

/// Hands the name of every promise to a macro.
macro_rules! for_each_promise {
    ($stamp:ident!($engine:ty)) => {
        $stamp! { $engine;
            a_pair_has_one_direct_however_many_ask
            a_direct_is_in_the_list_of_its_creator_only_until_its_first_message
            a_refused_direct_leaves_nothing
            a_group_begins_with_version_one
            versions_have_no_gap_and_an_outbox_row_each
            concurrent_changes_through_two_processes_get_versions_of_their_own
            a_refused_change_leaves_nothing
            a_stranger_finds_no_group
            what_a_change_says_is_done
            who_inherits_is_an_owner
            a_deletion_ends_every_stay_and_leaves_nobody
            a_deletion_is_repeated_by_its_request_only
            nobody_is_added_to_what_is_deleted_at_once
            the_list_is_pinned_first_then_by_activity
            pages_of_the_list_hold_everything_once
            the_list_by_name_is_folded_and_paged
            what_is_archived_or_cleared_is_not_in_the_list
            settings_are_a_members_own_and_what_is_the_same_is_no_change
            concurrent_updates_of_settings_lose_nothing
            what_was_cleared_outlives_the_stay
            many_pairs_are_answered_in_their_order
            a_block_is_seen_by_both_and_known_to_one
            a_block_refuses_a_new_direct_only
            blocks_are_bounded_and_listed_in_pages
            concurrent_blocks_through_two_processes_keep_the_limit
            a_change_of_a_block_is_told_to_the_direct
            who_is_deactivated_has_no_role_and_is_not_found
            a_deactivation_takes_the_memberships_from_those_who_watch
            a_group_of_deactivated_owners_is_inherited
            who_leaves_last_of_the_active_leaves_the_group_to_who_comes_back
            a_strict_directory_takes_known_users_only
            who_shares_a_conversation
            what_was_missed_is_what_those_who_watched_heard
            what_was_missed_is_said_whole_or_not_at_all
            what_was_missed_leads_from_any_moment_to_now
            the_greatest_seq_wins
            members_come_by_bytes_in_pages
            a_repeated_request_gets_the_first_result_whatever_has_changed
            another_body_with_the_same_id_is_refused
            an_expired_request_id_is_new
            request_ids_are_spaces_of_callers_and_methods
            concurrent_repetitions_do_it_once
            the_seq_of_an_entry_is_found_by_its_request
            a_stay_begins_when_the_log_has_it
            a_removal_stops_at_once
            a_stay_whose_end_is_pending_is_left_out
            a_write_back_repeats_without_harm
            what_is_left_is_found_by_conversation_and_version
            every_change_is_numbered_and_says_what_happened
            changes_of_another_process_are_seen
            pruned_changes_are_said
            memberships_are_what_may_be_read_in_pages
            readers_are_who_may_read_now
            only_what_has_expired_is_thrown_away
            profiles_are_stored_whole_and_the_last_wins
            users_are_found_by_the_beginning_of_a_word
            pages_of_a_search_hold_everybody_once
        }
    };
}
pub(crate) use for_each_promise;

/// A test for each promise on one engine.
macro_rules! stamp {
    ($engine:ty; $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                let engine = <$engine as $crate::store::conformance::Engine>::start().await;
                $crate::store::conformance::$promise(&engine).await;
            }
        )*
    };
}
pub(crate) use stamp;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const LIMITS: Limits = Limits {
    group_members_max: 500,
    call_members_max: 200,
    user_conversations_max: 1_000,
    user_blocks_max: 100,
    known_users_only: false,
};
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

fn user(id: &str) -> UserId {
    UserId::parse(id).expect("a good id")
}

fn users(ids: &[&str]) -> BTreeSet<UserId> {
    ids.iter().map(|id| user(id)).collect()
}

fn later(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW.millis() + millis)
}

fn new_id() -> ConversationId {
    let mut bytes = [0; 16];
    SystemEntropy.fill(&mut bytes);
    ConversationId::from_bytes(bytes)
}

/// A request that nobody has made before.
fn request(caller: &str) -> RequestKey {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    RequestKey {
        caller: user(caller),
        method: "Method",
        request_id: RequestId::parse(format!("request-{number}")).expect("a good id"),
        fingerprint: [7; 32],
        acting_service: None,
        expires_at: later(DAY_MS),
    }
}

fn encode(applied: &Applied) -> Encoded {
    Encoded { response: format!("{applied:?}").into_bytes(), entry: applied.entry.as_ref().map(encode_entry) }
}

fn new_group(creator: &str, members: &[&str]) -> NewGroup {
    NewGroup {
        id: new_id(),
        name: "Plans".to_owned(),
        description: String::new(),
        avatar_url: String::new(),
        history: History::Shared,
        metadata: Metadata::new(),
        creator: user(creator),
        members: users(members),
    }
}

/// A group whose first entry the log does not have.
async fn pending_group<S: ConversationStore>(store: &S, creator: &str, members: &[&str]) -> ConversationId {
    let group = new_group(creator, members);
    store.create_group(&group, &request(creator), &LIMITS, NOW, encode).await.expect("the group is created");
    group.id
}

/// A group whose first entry is at seq 1.
async fn group<S: ConversationStore>(store: &S, creator: &str, members: &[&str]) -> ConversationId {
    let id = pending_group(store, creator, members).await;
    store.write_back(id, 1, 1, NOW).await.expect("the store answers");
    id
}

async fn change<S: ConversationStore>(
    store: &S,
    conversation: ConversationId,
    caller: &str,
    change: GroupChange,
) -> Result<Executed, ChangeError> {
    store.change_group(conversation, &change, &request(caller), &LIMITS, NOW, encode).await
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ChangeError>) -> Refusal {
    match result {
        Err(ChangeError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

async fn direct<S: ConversationStore>(store: &S, creator: &str, peer: &str) -> ConversationId {
    let (creator, peer) = (user(creator), user(peer));
    let pair = crate::domain::DirectPair::of(&creator, &peer);
    let found = store.get_or_create_direct(new_id(), &pair, &creator, &LIMITS, NOW).await;
    found.expect("the direct is there").0.conversation.id
}

/// Whether there is such a member.
async fn set_pinned<S: ConversationStore>(store: &S, id: ConversationId, of: &UserId, pinned: bool) -> bool {
    let update = SettingsUpdate { pinned: Some(pinned), ..SettingsUpdate::default() };
    store.update_settings(id, of, &update, NOW).await.expect("the store answers").is_some()
}
