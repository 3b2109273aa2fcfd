import { objectGrants } from '../src/api/operation.ts'
import { everyOperation } from '../src/api/operations.ts'
import { hooksPath, mediaTypes, objectPath, pathOf, paths, tilesPath, wireLimits } from '../src/api/wire.ts'
import { codes } from '../src/errors.ts'
import { limits } from '../src/kernel/limits.ts'
import { generatedPage, table } from './pages.ts'

const methods = { command: 'POST', query: 'GET', stream: 'GET' } as const

/** The reference of the service's routes. The routes of operations come from the tables. */
export function servicePage(): string {
  const routes = everyOperation().map(
    ({ facts, name, noun, verb }) =>
      `| ${methods[facts.kind]} | \`${pathOf(noun, verb)}\` | [\`${name}\`](${noun}.md#${noun}${verb.toLowerCase()}) |${facts.waits === undefined ? '' : ' may take long'} |`,
  )
  const mib = (bytes: number) => `${bytes / 1024 ** 2} MiB`
  const seconds = (millis: number) => `${millis / 1000} s`
  const bounds: [string, string][] = [
    ['the body of a call', mib(wireLimits.bodyBytes)],
    ['the body of a batch', `${mib(wireLimits.batchBytes)}, 1 to ${wireLimits.batchLinesMax} lines`],
    ['the bodies of all requests in memory', mib(limits.bodyBytesInFlight)],
    ['the answers of the queries in a batch', mib(limits.batchAnswerBytes)],
    ['requests in progress', String(limits.requestsMax)],
    ['calls that wait', String(limits.waitingRequestsMax)],
    ['open streams', String(limits.streamsMax)],
    ['calls of one actor', `${limits.callsPerSecond} a second; up to ${limits.callsSavedUp} at once after a pause`],
    ['the headers of a request', seconds(limits.headersMillisMax)],
    ['a whole request', seconds(limits.requestMillisMax)],
    ['an idle connection', seconds(limits.keepAliveMillis)],
    ['the reader of an answer', seconds(limits.answerReadMillisMax)],
    ['a reader of a stream that takes nothing', seconds(limits.streamWriteMillisMax)],
    ['the requests in progress when the service closes', seconds(limits.drainMillisMax)],
  ]
  const own = [
    'UNAUTHENTICATED',
    'FORBIDDEN',
    'METHOD_NOT_ALLOWED',
    'UNSUPPORTED_MEDIA_TYPE',
    'REQUEST_TIMEOUT',
    'RATE_LIMITED',
  ] as const
  return generatedPage(`# The service

The routes of \`lockstep serve\`. [How to run the service](../how-to/run-the-service.md) has examples, and
\`contract/v1/openapi.json\` describes every route for programs. The routes below \`/v1\` may still change.

## Routes

${table(['method', 'path', 'operation', ''], routes)}

${table(
  ['method', 'path', 'what it does'],
  [
    `| POST | \`${paths.batch}\` | Several calls in one request |`,
    `| POST | \`${hooksPath('<harness>')}\` | Answers a hook of a coding agent ([Hooks](hooks.md)). At the socket only |`,
    `| GET | \`${paths.events}\` | Entries as server-sent events, without end |`,
    `| POST | \`${paths.mcp}\` | The [tools of agents](mcp.md) over the Model Context Protocol |`,
    `| PUT | \`${objectPath('<sha256>')}\` | Keeps the proposal of a turn, for a turn of more than ${wireLimits.bodyBytes / 2 ** 20} MiB |`,
    `| GET | \`${objectPath('<sha256>')}\` | An upload, or an object of the ledger, by its SHA-256 |`,
    `| GET | \`${tilesPath('checkpoint')}\` | The signed checkpoint, never cached |`,
    `| GET | \`${tilesPath('tile/<L>/<N>[.p/<W>]')}\` | A tile of hashes ([C2SP tlog-tiles](tiles.md)) |`,
    `| GET | \`${tilesPath('tile/entries/<N>[.p/<W>]')}\` | A bundle of up to 256 entries |`,
    `| GET | \`${paths.live}\` | Whether the process runs. Needs no token |`,
    `| GET | \`${paths.ready}\` | Whether commands are taken, with figures: 200 or 503. Needs no token |`,
    `| GET | \`${paths.metrics}\` | Metrics for Prometheus |`,
    `| GET | \`${paths.openApi}\` | The OpenAPI document |`,
  ],
)}

## Requests

- A **command** is a POST. Its body is the input as \`${mediaTypes.json}\` in UTF-8; an empty body means \`{}\`.
- A **query** is a GET. Each member of the input is one parameter. Text and words are taken as they are; any
  other value is JSON. A repeated or unknown parameter is \`INVALID_INPUT\`.
- A **stream** is a GET like a query. By default it answers with \`${mediaTypes.lines}\`: one item a line, and a last
  line \`{"end":true}\` or \`{"problem":…}\`. With \`Accept: ${mediaTypes.events}\` it answers with server-sent events;
  the last event has the name \`end\` or \`problem\`.
- \`Idempotency-Key\` is 1 to 200 bytes. It becomes the \`idempotency_key\` of the input, or the \`lock_id\` of
  \`locks.acquire\`: as it is if it has the form of a lock_id, or else \`lck_\` and its SHA-256 in base64url. A body
  with another key is \`INVALID_INPUT\`. Other operations are safe to repeat without a key.
- \`traceparent\` and \`tracestate\` (W3C Trace Context) name the trace that the call belongs to. Its entries keep them in
  \`trace\`, and the answer repeats \`traceparent\`. An invalid one is ignored. A line of a batch can have its own
  \`trace\`: \`{"call":…,"input":…,"trace":{"traceparent":…}}\`.
- Each answer has the header \`Request-Id\`, which is also in the logs.

## Batches

\`POST ${paths.batch}\` takes \`${mediaTypes.lines}\`, one \`{"call":"locks.acquire","input":{…}}\` a line. It answers 200 with one line
for each call, in the same order; empty lines are ignored: \`{"status":200,"answer":…}\` or \`{"status":409,"problem":{…}}\`. The calls begin in the
order of the lines and do not wait for each other. A batch is not atomic. With \`Idempotency-Key: K\`, line n (from
0) has the key \`K:n\`, unless it has its own. Streams and calls that may take long are refused line by line.

## Objects

\`PUT ${objectPath('<sha256>')}\` takes \`${mediaTypes.lines}\` and answers with \`{"bytes":…,"digest":…}\` once the bytes are durable.
Each line has one member: \`triplet\`, \`tombstone\`, \`delete_stem\` or \`issue\`, an item of that list of \`turns.stage\`.
\`turns.stage\` and \`turns.apply\` then take \`proposal_digest\` in place of the lists. The client and the command do so by
themselves for proposals of more than ${limits.uploadFromBytes / 2 ** 20} MiB. A body with another SHA-256 is \`INVALID_INPUT\`. \`PUT\` needs the grant
${objectGrants.PUT.map((grant) => `\`${grant}\``).join(' or ')}, and \`GET\` any grant.

Uploads are no entries, and backups do not include them. An upload is removed ${seconds(limits.uploadMillisMax)} after it was put. All uploads
together may have ${limits.uploadBytesInTotal / 2 ** 20} MiB: the oldest make room for new ones, but an upload that is younger than ${seconds(limits.uploadMillisMin)} and not
staged is kept. If a call names an upload that is gone, it is \`NOT_FOUND\` with \`proposal_digest\` in the details: put it again.

## Events

\`GET ${paths.events}?from=SEQ\` sends each entry once, in order, once it is durable. The id of an event is its seq. A
reader that was cut off sends \`Last-Event-ID\` instead of \`from\`. A comment is sent every ${seconds(limits.pingMillis)}. When the
service closes, the last event has the name \`end\` and a \`retry\` time.

## Errors

Every error is a problem document (RFC 9457) of type \`${mediaTypes.problem}\`: \`type\`, \`title\`, \`status\`, \`detail\`,
\`code\`, \`retryable\`, \`hint\`, \`details\`, \`errors\` and \`request_id\`. \`Retry-After\` is set where \`retryable\` is true.
[Errors](errors.md) lists all codes. These come from the service itself:

${table(
  ['code', 'HTTP status', 'meaning'],
  own.map((code) => `| \`${code}\` | ${codes[code].status} | ${codes[code].meaning} |`),
)}

A request that cannot be parsed as HTTP gets 400 and its connection is closed.

## Who may call

- On the socket a caller without a token names its \`actor\` and has the grant \`agent\`.
- On TCP every call needs \`Authorization: Bearer TOKEN\`. The actor of the call is the token's: an input that names
  another actor, or a role that the token lacks, is \`FORBIDDEN\`. A claim in \`on_behalf_of\` is kept.
- The table of each operation lists its grants. No grant implies another.
- Over TCP, \`pids\` and folders of deliverables are refused, because they are facts about another machine.
- Over TCP, requests with an \`Origin\` are refused, and so is a \`Host\` that is neither an address, \`localhost\`, the
  host of \`--listen\` nor a name in the certificate. There are no headers of CORS.

## Limits

${table(
  ['what', 'limit'],
  bounds.map(([what, limit]) => `| ${what} | ${limit} |`),
)}

Too many requests get \`LEDGER_UNAVAILABLE\` with the outcome \`not_applied\`, and too many calls of one actor get
\`RATE_LIMITED\`. Nothing is dropped in silence.
`)
}
