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
 * @property {{pinned?: boolean}} [settings]
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
 * @property {number} asOfSeq Everything up to this seq is applied.
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
