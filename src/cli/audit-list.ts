import { Command } from 'commander'
import type { ListEvents } from '../api/shapes/audit.ts'
import type { AuditEvent } from '../domain/audit/audit-event.ts'
import { renderedEvent } from '../domain/rendered-event.ts'
import type { Entry } from '../kernel/entry.ts'
import { wallTimeOf } from '../kernel/entry-time.ts'
import { limits } from '../kernel/limits.ts'
import { askLedger, examples, globalsOf, wholeNumber, withLedger } from './context.ts'
import type { Globals } from './globals.ts'
import { print, relativeTime, writeOut } from './output.ts'

interface ListFlags {
  actionType?: string
  byActor?: string
  case?: string
  cursor: number
  entries?: boolean
  jsonl?: boolean
  limit: number
  lock?: string
  outcome?: string
  run?: string
  since?: string
  stream?: string
  type?: string
  until?: string
}

export function listCommand(): Command {
  const command = new Command('list')
    .description('Print audit events, oldest first.')
    .option('--run <run_id>', 'only events of this run')
    .option('--lock <name>', 'only events of this lock')
    .option('--stream <stream>', 'only events of this stream, such as lock/resource:reports')
    .option('--case <case_id>', 'only events of this case')
    .option('--by-actor <actor_id>', 'only events of this actor')
    .option('--action-type <type>', 'only this action_type, such as authz_decision')
    .option('--type <type>', 'only entries of this type, such as lock.acquired')
    .option('--outcome <outcome>', 'only this outcome: allow, deny, success or failure')
    .option('--since <time>', 'only events at or after this time, such as 2026-02-02T12:00:00Z')
    .option('--until <time>', 'only events before this time')
    .option('--limit <n>', 'the maximum number of events to print', wholeNumber, 100)
    .option('--cursor <seq>', 'start at this seq: the "next" of the page before', wholeNumber, 0)
    .option('--entries', 'print the entries as they are hashed, instead of the audit events derived from them')
    .option('--jsonl', 'print one JSON line per event; with --entries, the canonical text that is hashed')
    .action(async (flags: ListFlags, self: Command) => {
      const globals = globalsOf(self)
      const query = queryFrom(flags)
      const { complete, next, shown } = await askLedger(globals, 'audit list', async (ledger) => {
        const { events, ...page } = await ledger.audit.entries(query)
        return { ...page, shown: events.map((entry) => shownOf(entry, flags.entries)) }
      })
      const events = shown.map(({ event }) => event)
      const document = { [flags.entries ? 'entries' : 'events']: events, next, complete }
      if (flags.jsonl) for (const event of events) writeOut(`${JSON.stringify(event)}\n`)
      else print(globals, document, () => [...shown.map(lineOf), ...(complete ? [] : [`more: --cursor ${next}`])])
    })
  return examples(
    command,
    'lockstep audit list --lock reports --since 2026-02-02T00:00:00Z',
    'lockstep audit list --run run_draft1 --action-type authz_decision --json',
    'lockstep audit list --cursor 100 --limit 20 --entries --jsonl',
  )
}

function queryFrom(flags: ListFlags): ListEvents {
  return {
    action_type: flags.actionType as ListEvents['action_type'],
    actor_id: flags.byActor,
    case_id: flags.case,
    cursor: flags.cursor,
    limit: flags.limit,
    lock: flags.lock,
    outcome: flags.outcome as ListEvents['outcome'],
    run_id: flags.run,
    since: flags.since,
    stream: flags.stream,
    type: flags.type,
    until: flags.until,
  }
}

interface TailFlags {
  count?: number
  entries?: boolean
  from?: number
  jsonl?: boolean
}

export function tailCommand(): Command {
  const command = new Command('tail')
    .description('Print new audit events as they are appended, each exactly once. Stop with Ctrl-C.')
    .option('--from <seq>', 'start at this seq (default: the next entry to be appended)', wholeNumber)
    .option('--count <n>', 'stop after this many events', wholeNumber)
    .option('--entries', 'print the entries as they are hashed')
    .option('--jsonl', 'print one JSON line per event')
    .action(async (flags: TailFlags, self: Command) => tail(globalsOf(self), flags))
  return examples(command, 'lockstep audit tail', 'lockstep audit tail --from 0 --jsonl | jq .action_type')
}

const pollMillis = 500

/** An open ledger blocks every other process, so each poll opens it, reads it and closes it again. */
async function tail(globals: Globals, { count, entries, from, jsonl }: TailFlags): Promise<void> {
  let next = from
  let left = count ?? Number.POSITIVE_INFINITY
  for (;;) {
    const found: Shown[] = []
    await withLedger(globals, 'audit tail', async (ledger) => {
      next ??= (await ledger.head.get()).size
      for await (const entry of ledger.log.read({ from: next })) {
        if (found.length >= Math.min(left, limits.readPageEntries)) break
        found.push(shownOf(entry, entries))
      }
    })
    for (const one of found) writeOut(`${jsonl || globals.json ? JSON.stringify(one.event) : lineOf(one)}\n`)
    next = (next ?? 0) + found.length
    left -= found.length
    if (left <= 0) return
    if (found.length === 0) await new Promise((resolve) => setTimeout(resolve, pollMillis))
  }
}

/** An entry and its printed form: the entry itself, or the audit event derived from it. */
interface Shown {
  entry: Entry
  event: AuditEvent | Entry
}

function shownOf(entry: Entry, isRaw: boolean | undefined): Shown {
  return { entry, event: isRaw ? entry : renderedEvent(entry) }
}

/** An event or an entry on one line, for people. */
function lineOf({ entry, event }: Shown): string {
  return 'seq' in event ? entryLine(event) : eventLine(event, wallTimeOf(entry))
}

function eventLine(
  { action_type, actor, outcome, outcome_reason, sequence, target }: AuditEvent,
  time: string,
): string {
  const what = target ? `${target.operation ?? action_type} ${target.target_type}:${target.name}` : action_type
  const why = outcome_reason ? `  ${JSON.stringify(outcome_reason)}` : ''
  return `${sequence}  ${relativeTime(time)}  ${actor.actor_id}  ${what}  ${outcome}${why}`
}

/** Fields that a line for people omits: the line shows them elsewhere, or only programs need them. */
const left = new Set(['acquired', 'by', 'deliverable_id', 'expires_at', 'host_id', 'kind', 'lock_ref', 'name', 'token'])

export function entryLine(entry: Entry): string {
  const isShown = ([key, value]: [string, unknown]) => !left.has(key) && value !== null && typeof value !== 'object'
  const facts = Object.entries(entry.data).filter(isShown)
  const text = facts
    .map(([key, value]) => `${key}=${/\s/.test(String(value)) ? JSON.stringify(value) : value}`)
    .join(' ')
  return `${entry.seq}  ${relativeTime(wallTimeOf(entry))}  ${entry.actor.actor_id}  ${entry.type}  ${entry.stream}  ${text}`
}
