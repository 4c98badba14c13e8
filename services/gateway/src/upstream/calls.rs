//! Unary calls for the frames of a socket.

use bytes::Bytes;
use viberchat_kit::error::{Error, Reason, Result};
use viberchat_kit::id::UserId;

use super::{Upstream, refused};
use crate::frames::{self, Answer, Encoding, Request};

/// What is shrunk first when a page is too long: a page of this many items is what the services give by default.
const PAGE_ITEMS_DEFAULT: u32 = 50;

impl Upstream {
    /// Answers a frame: always with one reply or error. A page that would be longer than `page_bytes_max` is asked for
    /// again with fewer items.
    pub(crate) async fn answer(
        self,
        user: UserId,
        id: u32,
        mut request: Request,
        encoding: Encoding,
        page_bytes_max: usize,
    ) -> Bytes {
        loop {
            let page_items = page_items(&mut request).map(|items| *items);
            // Only pages are asked for twice.
            let attempt = if page_items.is_some() {
                request.clone()
            } else {
                std::mem::replace(&mut request, Request::Heartbeat(<_>::default()))
            };
            let frame = match self.call(&user, attempt).await {
                Ok(answer) => encoding.encode(&frames::reply(id, Some(answer))),
                Err(error) => return encoding.encode(&frames::error(id, &error)),
            };
            match page_items {
                _ if frame.len() <= page_bytes_max => return frame,
                Some(items) if items != 1 => shrink(&mut request, frame.len(), page_bytes_max),
                Some(_) => return frame,
                // Twice a page: what has no pages is bounded by the ids that were named.
                None if frame.len() <= 2 * page_bytes_max => return frame,
                None => {
                    let error =
                        Error::new(Reason::LimitExceeded, "the answer is too long for a socket: name fewer ids");
                    return encoding.encode(&frames::error(id, &error));
                }
            }
        }
    }

    async fn call(&self, user: &UserId, request: Request) -> Result<Answer> {
        macro_rules! call {
            ($service:ident.$method:ident, $request:ident, $answer:ident) => {{
                let answer = self.$service.clone().$method(self.request(user, $request)).await.map_err(refused)?;
                Ok(Answer::$answer(answer.into_inner()))
            }};
        }
        match request {
            Request::Edit(r) => call!(message.edit_message, r, Edit),
            Request::Delete(r) => call!(message.delete_message, r, Delete),
            Request::MarkRead(r) => call!(message.mark_read, r, MarkRead),
            Request::ListMessages(r) => call!(message.list_messages, r, ListMessages),
            Request::ReadLog(r) => call!(message.read_log, r, ReadLog),
            Request::GetHeads(r) => call!(message.batch_get_heads, r, GetHeads),
            Request::ListPositions(r) => call!(message.list_positions, r, ListPositions),
            Request::React(r) => call!(message.add_reaction, r, React),
            Request::Unreact(r) => call!(message.remove_reaction, r, Unreact),
            Request::Pin(r) => call!(message.pin_message, r, Pin),
            Request::Unpin(r) => call!(message.unpin_message, r, Unpin),
            Request::ListPinned(r) => call!(message.list_pinned_messages, r, ListPinned),
            Request::MarkDelivered(r) => call!(message.mark_delivered, r, MarkDelivered),
            Request::GetMessage(r) => call!(message.get_message, r, GetMessage),
            Request::ListConversations(r) => call!(conversation.list_conversations, r, ListConversations),
            Request::GetConversation(r) => call!(conversation.get_conversation, r, GetConversation),
            Request::StartDirect(r) => call!(conversation.get_or_create_direct_conversation, r, StartDirect),
            Request::CreateGroup(r) => call!(conversation.create_group_conversation, r, CreateGroup),
            Request::UpdateConversation(r) => call!(conversation.update_conversation, r, UpdateConversation),
            Request::AddMembers(r) => call!(conversation.add_members, r, AddMembers),
            Request::RemoveMember(r) => call!(conversation.remove_member, r, RemoveMember),
            Request::Leave(r) => call!(conversation.leave_conversation, r, Leave),
            Request::UpdateRole(r) => call!(conversation.update_member_role, r, UpdateRole),
            Request::ListMembers(r) => call!(conversation.list_members, r, ListMembers),
            Request::UpdateSettings(r) => call!(conversation.update_member_settings, r, UpdateSettings),
            Request::DeleteConversation(r) => call!(conversation.delete_conversation, r, DeleteConversation),
            Request::BlockUser(r) => call!(conversation.block_user, r, BlockUser),
            Request::UnblockUser(r) => call!(conversation.unblock_user, r, UnblockUser),
            Request::ListBlocked(r) => call!(conversation.list_blocked_users, r, ListBlocked),
            Request::GetUsers(r) => call!(directory.batch_get_users, r, GetUsers),
            Request::SearchUsers(r) => call!(directory.search_users, r, SearchUsers),
            Request::SetTyping(r) => call!(presence.set_typing, r, SetTyping),
            Request::SetStatus(r) => call!(presence.set_status, r, SetStatus),
            Request::Hello(_)
            | Request::ResumePart(_)
            | Request::ResumeEnd(_)
            | Request::Heartbeat(_)
            | Request::Send(_)
            | Request::Focus(_)
            | Request::WatchPresence(_)
            | Request::UnwatchPresence(_)
            | Request::RefreshToken(_) => Err(Error::internal("a frame that is not a call was called")),
        }
    }
}

/// The page size of a request that has pages.
fn page_items(request: &mut Request) -> Option<&mut u32> {
    match request {
        Request::ListMessages(r) => Some(&mut r.page_size),
        Request::ReadLog(r) => Some(&mut r.limit),
        Request::ListPositions(r) => Some(&mut r.page_size),
        Request::ListPinned(r) => Some(&mut r.page_size),
        Request::ListBlocked(r) => Some(&mut r.page_size),
        Request::ListConversations(r) => Some(&mut r.page_size),
        Request::ListMembers(r) => Some(&mut r.page_size),
        Request::SearchUsers(r) => Some(&mut r.page_size),
        _ => None,
    }
}

/// Asks for as many items as should fit, and for fewer than before in any case.
fn shrink(request: &mut Request, frame_bytes: usize, bytes_max: usize) {
    let Some(items) = page_items(request) else { return };
    let asked = if *items == 0 { PAGE_ITEMS_DEFAULT } else { (*items).min(200) };
    let fitting = u64::from(asked) * bytes_max as u64 / frame_bytes.max(1) as u64;
    // Items differ in length: a quarter is kept as a reserve.
    let fewer = u32::try_from(fitting * 3 / 4).unwrap_or(1);
    *items = fewer.min(asked - 1).max(1);
}

#[cfg(test)]
mod tests {
    use viberchat_proto::message::v1::ListMessagesRequest;

    use super::*;

    #[test]
    fn a_page_shrinks_until_one_item_is_left() {
        let mut request =
            Request::ListMessages(ListMessagesRequest { page_size: 200, ..ListMessagesRequest::default() });
        let mut sizes = Vec::new();
        for _ in 0..10 {
            shrink(&mut request, 400_000, 131_072);
            sizes.push(*page_items(&mut request).expect("it has pages"));
        }
        assert!(sizes.windows(2).all(|pair| pair[1] < pair[0] || pair == [1, 1]), "{sizes:?}");
        assert_eq!(sizes.last(), Some(&1));
    }
}
