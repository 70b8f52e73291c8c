// Package events is the wire contract of keyledger: what stands in the LEDGER, USAGE and READS streams, byte by byte, and how
// it is told to the world. Everything that reads or writes the ledger goes by it, in this program and in any other.
//
// # Messages
//
// One event is one JetStream message: a subject, six headers and a body. A message is never changed and never deleted.
//
// # Subjects
//
//	ledger.<workspace>.<org>.<agent>.<key id>   a key
//	ledger.<workspace>.<org>.<agent>.~          an agent
//	ledger.<workspace>.~.~.~                    a workspace
//	ledger.<workspace>.<org>.<agent>.~<id>      a webhook
//	claim.<kind>.<hash>                         a claim
//
// The event type is no part of the subject: each key, agent, webhook and claim has one literal subject, so that the guard of an
// append ("the last message on this subject is number N") is on exactly what the append is about. Owner filters are
// plain NATS: ledger.acme.> is a workspace, ledger.*.*.bot7.* an agent.
//
// An id is 1 to 128 bytes. In a subject, a byte outside A-Z a-z 0-9 _ - is written =XX, in two upper-case hex digits;
// every other byte must not be. "~" stands for an id that is absent. So no two ids share a token, and every token gives
// its id back. A key id is a UUID in its 36 lower-case characters (RFC 9562 section 4).
//
// # Headers
//
//	Nats-Msg-Id            event id: a lower-case UUID, unique per event
//	Keyledger-Type         type, such as key.created
//	Keyledger-Version      version of the body's layout: decimal, from 1
//	Keyledger-Time         when the command was decided: RFC 3339, UTC, always 6 decimals, such as 2026-01-02T03:04:05.000006Z
//	Keyledger-Actor        key id of the principal who asked, or "system"
//	Keyledger-Request-Id   id of the request that asked; absent when there was none
//
// Actor and request id are 1 to 128 visible ASCII characters.
//
// What a subscriber is answered about a consumer of its own (CONSUMER.CREATE, CONSUMER.INFO) has two headers more:
//
//	Keyledger-Age          how many milliseconds ago the node knew the whole ledger
//	Keyledger-Last         a sequence after which there was none then
//
// Heartbeats of a consumer tell what its own server has. A consumer that has come to Keyledger-Last has all there was at that time.
//
// # Bodies
//
// A body is one MessagePack map and nothing after it. Names are strings, and ascend bytewise, so that none comes twice.
// What is absent is left out. The kinds of values are:
//
//	text     str, UTF-8
//	id       bin of 16 bytes: a UUID
//	digest   bin of 32 bytes: SHA-256 of a token
//	time     unsigned integer: microseconds since 1970-01-01 UTC, to the end of the year 9999; 0 is "never"
//	number   unsigned integer
//	seconds  unsigned integer: a duration
//	flag     bool; absent is false
//	json     str: one JSON object (RFC 8259) on one line; empty for none
//	map      a map of such fields; the one that is called p is sealed, see below
//
// Extension types are not used. A field marked * is required. In key.updated, key.rotated and webhook.updated, a field that is left out
// says "unchanged", and one that is there but empty (or 0) says "now absent".
//
// Every type has two versions. In version 1, which is not written any more, p is a map; in version 2 it is sealed.
//
// key.created: a key was made.
//
//	agent     text    agent id
//	confined  flag    the key acts inside its owner
//	digest *  digest
//	env *     text    environment: live or test
//	exp       time    expiry
//	hint      text    a few visible characters of the token
//	key *     id      key id
//	nbf       time    not valid before
//	org       text    organisation id
//	p         map     agent (agent name), meta, name
//	peer      text    peer id
//	scopes    text    space-delimited (RFC 6749 section 3.3)
//	session   text    session id
//	type *    text    internal, external, github or slack
//	unique    flag    no other such key of its owner and type that is not revoked has its name
//	ws        text    workspace id
//
// key.updated: what is mutable of a key was changed.
//
//	exp       time
//	key *     id
//	p         map     meta, name
//	scopes    text
//
// key.rotated: a key has a new token. The one before stays valid until prev_exp.
//
//	digest *  digest  of the new token
//	exp       time
//	hint      text    of the new token
//	key *     id
//	p         map
//	prev_exp  time    not after the event's time: at once
//
// key.disabled and key.enabled: a key was paused, and resumed.
//
//	key *     id
//	p         map
//
// key.revoked: a key ended for good.
//
//	key *     id
//	p         map     reason
//
// key.expiring: a key expires soon. It comes once for each horizon before its expiry that nodes are told to
// announce, the longest first, whether the key is disabled or not, but not for a horizon longer than the time from the
// setting of the expiry to the expiry. An expiry that is changed is announced anew.
//
//	exp *      time     the expiry that is announced
//	horizon *  seconds  how long before it
//	key *      id
//	p          map
//
// key.expired: the expiry of a key has come. It comes once for an expiry. A key is expired from its expiry on,
// whether and whenever that is announced.
//
//	exp *     time
//	key *     id
//	p         map
//
// key.first_used: a key has been used for the first time, or for the first time that is known. It comes once
// for a key.
//
//	at *      time    of the use; of a later one when many keys were first used at a time
//	key *     id
//	p         map
//
// Those three are notices: a node appends them as "system", they come a little after what they tell of, none comes after
// a revocation, and they change nothing else of a key.
//
// agent.registered: an agent has a name.
//
//	agent *   text    agent id
//	org       text
//	p *       map     name *
//	ws        text
//
// webhook.created: an endpoint is told, by HTTP, what happens within an owner.
//
//	agent     text    agent id
//	from      number  sequence of the first event it gets; left out: the one after this
//	hook *    id      webhook id
//	org       text
//	p         map     name
//	types     text    space-delimited types of the events it gets, "*" at the end of one for any; left out: all
//	url *     text
//	ws        text
//
// webhook.updated: an endpoint was changed.
//
//	disabled    flag    it is told nothing until further notice, or (false) is told again
//	hook *      id
//	p           map     name, reason (of disabling it)
//	prev_until  time    until when the secret before secret signs too; left out: it does not
//	secret      number  version of the secret that signs from now on; the first is 1
//	types       text
//	url         text
//
// webhook.deleted: an endpoint is gone for good.
//
//	hook *    id
//	p         map
//
// owner.erased: the personal data that was stored before of a key, or of all that a workspace has, is destroyed. It is on the
// subject of the key, or of the workspace: so who reads a part of a workspace only, one of its agents, is not told of the latter.
//
//	gen       number  of a workspace: the generation of its secrets up to which they are destroyed
//	key       id      of the one key; left out: all of the workspace
//	p         map     always empty
//	ws        text    workspace id
//
// claim.taken and claim.released: something that must be unique beyond one key is in use, and is
// not any more. A claim is committed in one atomic batch with the event that needs it, so two writers cannot both win.
//
//	hash *    text    lower-case hex of SHA-256 over what is claimed
//	holder *  text    id of the key or agent that holds it; in claim.taken only
//	kind *    text    token, agent, name, root, …
//	p         map
//
// # Personal data
//
// Whatever can name or describe a person is in the one map p of a body and nowhere else. It is sealed, so that it can be
// erased by destroying a key, without touching the history:
//
//	agent     text    agent name
//	ip        text    origin of the request; in every type
//	meta      json    metadata
//	name      text    name of the key, agent or webhook
//	reason    text    of a revocation, or of disabling a webhook
//	ua        text    user agent of the request; in every type
//
// Sealed, p is bin:
//
//	1 byte     what there is: a bit each, from the lowest on, for agent, ip, meta, an empty meta, name, an empty name,
//	           reason and ua
//	uvarint    generation of the secret of the workspace, from 1 on
//	4 bytes    mark of that secret
//	12 bytes   nonce
//	the rest   AES-256-GCM of the map, as it is in version 1, with 16 bytes of tag
//
// Only the servers of the ledger have the keys. In the place of each text whose key was destroyed, a reader that asks them is
// given "erased", and {"erased":true} for metadata; a reader without keys, such as a NATS client, reads "sealed" and
// {"sealed":true}. Decode does both.
//
// No secret is in any event: of a token there is its digest and its hint. The secrets of webhooks follow from a secret
// that only the servers have, the id and the version.
//
// # Versions
//
// A type is never renamed, a field never changes its meaning. A field whose absence means what it meant before may be
// added within a version, so a reader skips the fields that it does not know. Everything else is a new version: the old
// layout stays readable, and is brought to the new one step by step when it is read; Decode always gives the newest.
// testdata holds the bytes of every layout that was ever written.
//
// A reader that meets a type, or a version, that it does not know must stop, and say which and where: to skip it would
// be to show a state that never was. Decode gives it an *UnknownError. A message that is not what is described here is
// a *DecodeError: the ledger is damaged, or someone else wrote to it.
//
// # Subscribers
//
// The stream LEDGER is read by its NATS clients as any other. Where keyledger admits them (serve --nats-listen, or an
// external NATS with auth callout), a client connects with the token of a key that holds the scope ledger:events:read, and
// with the inbox prefix _INBOX.key.<key id>. It may make, pull from, look at and delete consumers with the names <key id>
// and <key id>_1 to <key id>_7, each with one filter within what OwnerFilter gives for the owner of the key: the workspace,
// organisation and agent it is bound to. Claims are not read by subscribers. A key that is bound to a peer or a session
// cannot subscribe over NATS, as no subject tells those.
//
// The stream HEADS is read in the same way, with the filter heads.>, by every such client. A message on heads.<date> is a
// checkpoint (C2SP tlog-checkpoint): a signed note of how many messages the ledger has and of the root of the tree over
// them. The last message of each day, in UTC, stays.
//
// # Leaves
//
// The messages of the ledger are the leaves of a Merkle tree (RFC 6962 section 2.1), the message with sequence n the leaf
// with index n-1. A leaf, as AppendLeaf makes it, is, byte after byte:
//
//	1 byte   version of this layout: 1
//	8 bytes  sequence number in the stream, the highest byte first
//	text     subject
//	text     Nats-Msg-Id
//	text     Keyledger-Type
//	text     Keyledger-Version
//	text     Keyledger-Time
//	text     Keyledger-Actor
//	text     Keyledger-Request-Id; of length 0 when the message has none
//	rest     body
//
// A text is its length in 2 bytes, the highest first, and as many bytes: of a header its value, as it stands in the message.
// Other headers of a message are not covered: they belong to NATS. A body has at most MaxBody bytes. The hash of a leaf is
// the SHA-256 of a byte 0 and the leaf. This layout never changes: a tree that once was signed can always be made again.
//
// # Usage
//
// A message on usage.batch tells how keys were used since the message before. Its body is a MessagePack array: the
// version of the layout, 1, and then at most 2048 uses, each an array of at least five values. A reader skips those
// after the fifth.
//
//	id        key id
//	time      last use
//	unsigned  number of uses, at least 1
//	text      IP of the last use; empty when unknown
//	text      user agent of the last use; empty when unknown
//
// # Reads
//
// A message on reads.batch tells what was read through the API, where that is audited (serve --audit-reads). Its body is a
// MessagePack array: the version of the layout, 1, and then at most 500 reads, each an array of at least nine values. A
// reader skips those after the ninth. A batch may be there twice. READS is not in the tree, and old batches age out.
//
//	time      of the answer
//	text      key id of the principal who asked, or its name
//	text      IP; empty when unknown
//	text      user agent; empty when unknown
//	text      request id
//	text      method and template of the path, such as GET /v1/keys/{id}
//	text      variables of the path and parameters of the query, as a query string
//	id        id of the key that was read; 0 when it was no single one
//	unsigned  HTTP status of the answer
//
// # Exchange form
//
// Outside the stream, an event is a CloudEvents 1.0 JSON object, made by AppendCloudEvent:
//
//	specversion      1.0
//	id               event id
//	source           a URI reference that names the ledger
//	type             keyledger.<type>, such as keyledger.key.created
//	subject          key id, agent id, webhook id, workspace id, or <kind>.<hash> of a claim
//	time             as in the header
//	sequence         sequence number in the stream, as a decimal string
//	actor            as in the header
//	requestid        as in the header; left out when absent
//	datacontenttype  application/json
//	data             the payload of the newest version, in words
//
// The data of a key event has key_id and, as far as the type has them, name, hint, workspace_id, org_id, agent_id,
// agent_name, peer_id, session_id, scopes (an array), environment, type, metadata (an object), not_before, expires_at,
// previous_expires_at, horizon_seconds (a number), used_at, reason and, only when they are true, unique_name and confined; that of an agent agent_id, name,
// workspace_id and org_id; that of a webhook webhook_id, name, workspace_id, org_id, agent_id, types (an array), target
// (scheme and host of its URL), disabled with reason, and secret_rotated with previous_secret_until; that of owner.erased workspace_id
// and, when it is about one key, key_id; that of a claim kind, hash and holder. Every data has origin with ip and user_agent. What is
// absent is null, an empty array or an empty object; a member that a change does not touch is left out. Digests stay
// inside: there is none in the exchange form, and so the hash of a claim of kind token, which is one, is not there either.
package events
