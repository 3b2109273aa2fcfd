import type { Command } from 'commander'
import type { Api, LedgerHere } from '../api/api.ts'
import type { ListEvents } from '../api/shapes/audit.ts'
import { renderedEvent, renderings } from '../domain/rendered-event.ts'
import { LockstepError } from '../errors.ts'
import type { Entry } from '../kernel/entry.ts'
import { jsonProblemText, readJson } from '../kernel/json.ts'
import { limits } from '../kernel/limits.ts'
import { printable } from '../kernel/printable.ts'

import { entryLine, eventLine } from './audit-text.ts'
import { withLedger } from './context.ts'
import { readText } from './input-file.ts'
import { writeOut } from './output.ts'
import { PipeReader } from './pipe-reader.ts'
import { targetIn } from './values.ts'
import { type Asked, count, type Given, noun, text, toggle, verb } from './verb.ts'

export function auditCommand(asked?: string): Command {
  const verbs = { append: appendVerb, list: listVerb, tail: tailVerb }
  return noun('audit', verbs, asked, [
    'lockstep audit append --outcome success --reason "nightly backup"',
    'lockstep audit list --lock reports --json',
  ])
}

function appendVerb(): Command {
  return verb('append', 'audit.append', {
    expand: ['events'],
    flags: {
      'events.0.action_type': { about: '"system", or the action that --decision allowed', fallback: 'system' },
      'events.0.corrects': { about: 'the event_id of the earlier event that this event corrects' },
      'events.0.error': false,
      'events.0.outcome': { about: 'the outcome; required unless --file is given', isOptional: true },
      'events.0.request_hash_sha256': false,
      'events.0.response_hash_sha256': false,
      'events.0.run_id': { about: 'the run that the event belongs to; it must be running', name: 'run' },
      'events.0.target': {
        about: 'the target of the event, such as artifact:report-17',
        placeholder: 'type:name',
        read: targetIn,
      },
      expected_size: { about: 'append only if the ledger has this size' },
    },
    own: { file: text('--file <file>', 'read an event, an array of events or JSON lines from this file; - for stdin') },
    input: ({ events, ...options }, { file }) => {
      if (file !== undefined) return { ...options, events: readEvents(file) }
      const [event] = events as [{ outcome?: string }]
      if (event.outcome === undefined)
        throw new LockstepError('INVALID_INPUT', 'specify --outcome, or --file with events')
      return { ...options, events }
    },
    lines: ({ events, replayed }) =>
      events.map(({ event_id, seq }) => `${seq} ${event_id}${replayed ? ' (replayed)' : ''}`),
    examples: [
      'lockstep audit append --outcome success --reason "nightly backup"',
      'lockstep audit append --outcome failure --reason "wrong file" --corrects evt_0a1b2c3d4e5f6g7h_41',
      'lockstep audit append --file - --guard reports@42 < events.jsonl',
    ],
  })
}

/** Reads events from a file or stdin: one document, an array, or JSON lines. Errors: INVALID_INPUT with the line. */
function readEvents(file: string): unknown[] {
  const source = readText(file, limits.documentBytes * 64)
  const whole = readJson(source)
  if ('value' in whole) return Array.isArray(whole.value) ? whole.value : [whole.value]
  const lines = source.split('\n').map((line, index) => ({ line, number: index + 1 }))
  const full = lines.filter(({ line }) => line.trim() !== '')
  const isWhole = whole.problem.problem !== 'syntax' || full.length < 2
  if (isWhole) throw new LockstepError('INVALID_INPUT', jsonProblemText(file, whole.problem))
  return full.map(({ line, number }) => {
    const read = readJson(line)
    if ('value' in read) return read.value
    const is = jsonProblemText(`line ${number} of ${file}`, read.problem)
    throw new LockstepError('INVALID_INPUT', is, { details: { line: number } })
  })
}

function listVerb(): Command {
  return verb('list', 'audit.list', {
    flags: {
      cursor: { about: 'start at this seq: the "next" of the page before' },
      run_id: { name: 'run' },
      type: { about: 'only entries of this type, such as lock.acquired', choices: Object.keys(renderings) },
    },
    own: {
      entries: toggle('--entries', 'print the entries as they are hashed, instead of the audit events made from them'),
    },
    isLong: true,
    call: async (api, input, { given }) => {
      const { complete, events: entries, next } = await api.audit.entries(input)
      if (entries.length === 0) await refuseUnknown(api, input)
      const page = { complete, next }
      // With --json, the members have this order.
      return given.entries ? { entries, ...page } : { events: entries, ...page }
    },
    document: (listed) => ('events' in listed ? { ...listed, events: listed.events.map(renderedEvent) } : listed),
    items: (listed) => ('events' in listed ? listed.events.map(renderedEvent) : listed.entries),
    lines: (listed) => [
      ...('events' in listed
        ? listed.events.map((entry) => eventLine(entry, renderedEvent(entry)))
        : listed.entries.map(entryLine)),
      ...(listed.complete ? [] : [`more: --cursor ${listed.next}`]),
    ],
    examples: [
      'lockstep audit list --lock reports --since 2026-02-02T00:00:00Z',
      'lockstep audit list --run run_draft1 --action-type authz_decision --since 1h --json',
      'lockstep audit list --cursor 100 --limit 20 --entries --jsonl',
    ],
  })
}

/** An empty list must not hide a misspelled run or lock. Errors: NOT_FOUND. */
async function refuseUnknown(api: Api, { lock, run_id }: ListEvents): Promise<void> {
  if (run_id !== undefined) await api.runs.get({ run_id })
  if (lock !== undefined) await api.locks.status({ name: lock })
}

const tailOwn = {
  count: count('--count <n>', 'stop after this many events'),
  entries: toggle('--entries', 'print the entries as they are hashed'),
  jsonl: toggle('--jsonl', 'print one JSON line per event'),
}

function tailVerb(): Command {
  return verb('tail', 'log.subscribe', {
    about: 'Prints new audit events as they are appended, each exactly once.',
    more: 'Stop with Ctrl-C. It also ends when the reader of its output ends.',
    own: tailOwn,
    run: tail,
    examples: ['lockstep audit tail', 'lockstep audit tail --from 0 --jsonl | jq .action_type'],
  })
}

const pollMillis = 500

/** An open ledger blocks every other process, so each poll opens it, reads it and closes it again. */
async function tail({
  command,
  given,
  globals,
  input,
}: Asked<{ from?: number | undefined }, typeof tailOwn>): Promise<void> {
  const reader = new PipeReader()
  let next = input.from
  let left = given.count ?? Number.POSITIVE_INFINITY
  for (;;) {
    const found: Entry[] = []
    const poll = async (ledger: LedgerHere) => {
      next ??= (await ledger.head.get()).size
      for await (const entry of ledger.log.read({ from: next })) {
        if (found.length >= Math.min(left, limits.readPageEntries)) break
        found.push(entry)
      }
    }
    await withLedger(globals, command, poll, 'stream')
    // Asked before the first line as well: `head -1` ends with it.
    if (reader.hasEnded) return
    for (const entry of found) writeOut(`${tailLine(entry, given, globals.json)}\n`)
    next = (next ?? 0) + found.length
    left -= found.length
    if (left <= 0) return
    if (found.length === 0) await new Promise((resolve) => setTimeout(resolve, pollMillis))
  }
}

function tailLine(entry: Entry, { entries, jsonl }: Given<typeof tailOwn>, json: boolean | undefined): string {
  if (jsonl || json) return JSON.stringify(entries ? entry : renderedEvent(entry))
  return printable(entries ? entryLine(entry) : eventLine(entry, renderedEvent(entry)))
}
