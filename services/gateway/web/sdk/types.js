/**
 * Shapes that the modules share. The ones that end in `Json` are protobuf's JSON: 64-bit numbers are strings, and what has its
 * default value is absent.
 *
 * @typedef {import('./wire.js').RequestError} RequestError
 *
 * @typedef {object} MessageJson
 * @property {string} messageId
 * @property {string} [conversationId]
 * @property {string} seq
 * @property {string} [messageNo]
 * @property {string} senderUserId
 * @property {string} [text]
 * @property {string} [createTime]
 * @property {string} [editTime]
 * @property {string} [deleteTime]
 * @property {string} [clientMessageId] Shown to the sender only.
 * @property {string} [replyToMessageId]
 * @property {string} [replyToSeq]
 * @property {string[]} [mentionedUserIds]
 * @property {{entries?: Record<string, string>}} [metadata]
 * @property {string} [pinnedByUserId]
 * @property {{emoji: string, count?: number, reacted?: boolean}[]} [reactions]
 *
 * @typedef {object} LogEntryJson
 * @property {string} conversationId
 * @property {string} seq
 * @property {string} [messageNo]
 * @property {string} [actorUserId]
 * @property {string} [createTime]
 * @property {string} [requestId] Shown to the actor only.
 * @property {Record<string, any>} [body] One key names the kind; absent for a kind that the gateway does not know.
 *
 * @typedef {object} ConversationJson
 * @property {string} conversationId
 * @property {string} kind
 * @property {string} [name]
 * @property {string} [description]
 * @property {string} [avatarUrl]
 * @property {string} [createTime]
 * @property {number} [memberCount]
 * @property {string} [peerUserId]
 * @property {string} [role]
 * @property {{pinned?: boolean, muteUntilTime?: string, archived?: boolean, nickname?: string, clearedSeq?: string}} [settings]
 * @property {string} [history] What those who join later see of what was before.
 * @property {boolean} [peerBlocked] Of a direct: we have blocked the peer.
 * @property {string} [activityTime]
 *
 * @typedef {object} HeadJson
 * @property {string} conversationId
 * @property {string} [headSeq]
 * @property {string} [messageNo]
 * @property {MessageJson} [lastMessage]
 * @property {string} [readSeq]
 * @property {string} [unreadCount]
 * @property {string} [headTime]
 *
 * @typedef {object} PositionJson
 * @property {string} conversationId
 * @property {string} userId
 * @property {string} [readSeq]
 * @property {string} [readMessageNo]
 * @property {string} [deliveredSeq]
 *
 * @typedef {object} PresenceJson
 * @property {string} userId
 * @property {string} [status]
 * @property {string} [lastSeenTime]
 *
 * @typedef {object} Message A message as it is shown.
 * @property {'message'} kind
 * @property {number} seq
 * @property {number} messageNo
 * @property {string} messageId
 * @property {string} senderUserId
 * @property {string} text
 * @property {number} time Milliseconds since 1970.
 * @property {boolean} edited
 * @property {boolean} deleted
 * @property {string} clientMessageId Empty for other people's messages.
 * @property {string} replyToMessageId The message that it answers; empty if none.
 * @property {number} replyToSeq
 * @property {readonly string[]} mentionedUserIds
 * @property {Readonly<Record<string, string>>} metadata What the host application keeps with it.
 * @property {string} pinnedByUserId Empty if it is not pinned.
 * @property {readonly Reaction[]} reactions
 * @property {number} asOfSeq Everything up to this seq is applied.
 *
 * @typedef {object} Reaction
 * @property {string} emoji
 * @property {number} count
 * @property {boolean} reacted We are among those who gave it.
 *
 * @typedef {object} SystemLine A change of the group, in its place between the messages.
 * @property {'system'} kind
 * @property {number} seq
 * @property {string} actorUserId
 * @property {number} time
 * @property {Record<string, any>} body
 *
 * @typedef {Message | SystemLine} HistoryItem
 *
 * @typedef {object} Presence
 * @property {'unknown' | 'offline' | 'online' | 'away' | 'busy' | 'invisible'} status
 * @property {number} lastSeen Milliseconds since 1970, to the minute; 0 while online, and if not known.
 *
 * @typedef {object} OutboxStore Where what is on its way out survives a reload. Calls are carried out in their order.
 * @property {(record: OutboxRecord) => Promise<void>} put
 * @property {(id: string) => Promise<void>} remove
 * @property {(userId: string) => Promise<OutboxRecord[]>} load What no living page looks after any more. It is ours from then on.
 *
 * @typedef {object} OutboxRecord
 * @property {string} id
 * @property {string} userId Whose it is.
 * @property {number} order They leave in this order.
 * @property {'send' | 'edit' | 'delete' | 'react' | 'unreact' | 'pin' | 'unpin'} kind
 * @property {string} conversationId
 * @property {string} messageId
 * @property {string} text
 * @property {Record<string, any>} more
 * @property {number} createdAt
 * @property {number | null} [knownSeq]
 * @property {string} reason Why it was rejected; empty if it was not.
 * @property {string} parentId
 *
 * @typedef {object} ConnectionState
 * @property {'connecting' | 'online' | 'offline' | 'closed'} name
 * @property {string} reason Why it is not online: a reason of the protocol, or CONNECTION_LOST, SILENT, NO_TOKEN, CLOSED. Else empty.
 * @property {number} since When it stopped being online; 0 while online.
 * @property {number} retryAt When the next try is due; 0 if none waits.
 *
 * @typedef {object} Environment What is taken from outside, so that tests can put their own in.
 * @property {(url: string, protocol: string) => WebSocketLike} openSocket
 * @property {() => number} now
 * @property {(run: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => number} random From 0 up to 1.
 * @property {() => string} newId
 *
 * @typedef {object} WebSocketLike
 * @property {(text: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {((event: any) => void) | null} onopen
 * @property {((event: {data: string}) => void) | null} onmessage
 * @property {((event: {code: number, reason: string}) => void) | null} onclose
 */

export {};
