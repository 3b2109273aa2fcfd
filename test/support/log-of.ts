import { evolveRow, storedRow } from '../../src/domain/aggregates.ts'
import type { Row } from '../../src/kernel/decider.ts'
import { type Entry, type EventDraft, entryOf } from '../../src/kernel/entry.ts'
import { formatVersion } from '../../src/kernel/format.ts'
import { eventIdOf } from '../../src/kernel/ids.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import type { Store } from '../../src/log/keyed/store.ts'
import type { NewMeta, Recorded, ViewWrite } from '../../src/log/log.ts'
import { horizon, ReceiptBlocks } from '../../src/views/receipts.ts'
import { recordedOf } from '../../src/writer/recorded.ts'
import { testActor } from './ledger.ts'
import { MemoryStore } from './memory-store.ts'

export const sampleMeta = { ledger_id: 'samplelog0000', origin: 'lockstep.test/sample' }

/** Entry 0, and after it notes of as many streams as wanted, in turns. */
export function sampleEntries(size: number, streams = 1): Entry[] {
  const lastSeqs = new Map<string, number>()
  return Array.from({ length: size }, (_, seq) => {
    const draft = seq === 0 ? created : noteOf(seq, streams)
    const entry = entryOf(draft, {
      actor: testActor,
      correlationId: undefined,
      eventId: eventIdOf(sampleMeta.ledger_id, seq),
      previous: lastSeqs.get(draft.stream) ?? null,
      request: seq % 3 === 1 ? { count: 1, index: 0, key: `key-${seq}`, sha256: 'ab'.repeat(32) } : undefined,
      seq,
      time: new Date(Date.UTC(2026, 0, 1) + seq).toISOString(),
      wallTime: undefined,
    })
    lastSeqs.set(draft.stream, seq)
    return entry
  })
}

const created: EventDraft = {
  type: 'ledger.created',
  stream: 'ledger',
  data: { format: formatVersion, ...sampleMeta, vkey: 'sample' },
}

function noteOf(seq: number, streams: number): EventDraft {
  const target = { name: `place ${seq}`, target_type: 'system' }
  const data = { action_type: 'system', notes: `note ${seq}`, outcome: 'success', target }
  return { type: 'audit.recorded', stream: streams === 1 ? 'audit' : `audit/${(seq * 7) % streams}`, data }
}

/**
 * A log of exactly these entries with the rows and receipts that follow from them, however wrong they are: what
 * somebody could make who can write everything below `.lockstep`.
 */
export async function logOf<S extends Store = MemoryStore>(
  entries: readonly Entry[],
  {
    batchMax = 97,
    meta = sampleMeta,
    store = new MemoryStore() as unknown as S,
    textOf,
  }: { batchMax?: number; meta?: NewMeta; store?: S; textOf?: (entry: Entry) => string } = {},
): Promise<{ log: KeyedLog; store: S }> {
  const log = await KeyedLog.create(store, meta)
  const rows = new Map<string, Row>()
  const blocks = new ReceiptBlocks()
  let format = formatVersion
  for (let at = 0; at < entries.length; at += batchMax) {
    const batch = entries.slice(at, at + batchMax)
    const changed = new Set<string>()
    const writes: ViewWrite[] = []
    for (const [index, entry] of batch.entries()) {
      rows.set(entry.stream, evolveRow(rows.get(entry.stream), entry))
      changed.add(entry.stream)
      const block = at + index < horizon(entries.length) ? undefined : blocks.next({ ...entry, seq: at + index })
      if (block !== undefined) writes.push({ view: 'receipts', key: block.block, value: block.value })
    }
    for (const stream of changed) {
      const value = rows.get(stream)
      if (value !== undefined) writes.push({ view: 'row', key: stream, value: storedRow(stream, value) })
    }
    const stored = batch.map((entry) => {
      if (entry.type === 'ledger.created') format = Number(entry.data.format)
      const each = recordedIn(format, entry)
      if (entry.type === 'ledger.upgraded') format = Number(entry.data.to)
      return textOf === undefined ? each : { ...each, text: textOf(JSON.parse(each.text)) }
    })
    await log.append({ size: at }, stored, writes, {})
  }
  return { log, store }
}

/** An entry as the log takes it. The salts of its texts are random, but the same entry always has the same ones. */
export function recorded(entry: Entry): Recorded {
  return recordedIn(formatVersion, entry)
}

function recordedIn(format: number, entry: Entry): Recorded {
  const name = `${format} ${JSON.stringify(entry)}`
  const known = recordedBefore.get(name) ?? recordedOf(entry, format)
  recordedBefore.set(name, known)
  return { ...known, entry }
}

const recordedBefore = new Map<string, Recorded>()
