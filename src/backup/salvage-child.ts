/**
 * Salvages a copy of a damaged database in its own process, because LevelDB may abort: `<home>`. The copy is in
 * `damaged` below the home folder, and may be changed. Writes the longest provable prefix to a new database in `ledger`,
 * and the readable entries after it to `after-the-gap.jsonl`.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../errors.ts'
import type { Entry } from '../kernel/entry.ts'
import { limits } from '../kernel/limits.ts'
import { LevelLog } from '../log/level/level-log.ts'
import { answer } from '../log/level/open/child-answer.ts'
import { openStore, repairStore } from '../log/level/store.ts'
import type { ViewWrite } from '../log/log.ts'
import { tileWidth } from '../merkle/tiles.ts'
import { rebuildViews } from '../verify/rebuild.ts'
import { EntryVerification } from '../verify/verify-entries.ts'
import { RunVerification } from '../verify/verify-runs.ts'
import { SchemaVerification } from '../verify/verify-schema.ts'
import { TextVerification } from '../verify/verify-texts.ts'
import { bytesOf, erasedIn, isText, type Readable } from './readable.ts'
import { Source } from './salvage-source.ts'
import { afterName, type Found } from './salvaged.ts'

const [home = ''] = process.argv.slice(2)

void answer(async (): Promise<Found> => {
  const damaged = join(home, 'damaged')
  await repairStore(damaged)
  const store = await openStore(damaged, { create: false })
  try {
    const source = new Source(store)
    const end = await source.end()
    const prefix = await copyPrefix(source, end)
    return { ...prefix, after: writeAfter(source, { from: prefix.size, to: end }), end }
  } finally {
    await store.close()
  }
})

/**
 * Copies entries and their objects from the first on, as long as each is readable and follows from those before it. The
 * copy ends where no request and no event of a run is incomplete. Memory: the last seq of each stream.
 */
async function copyPrefix(source: Source, end: number): Promise<Pick<Found, 'problem' | 'size'>> {
  const first = source.read(0)
  if ('problem' in first) return { problem: first.problem, size: 0 }
  const checks = checksFrom(first.entry)
  mkdirSync(join(home, 'ledger'), { mode: 0o700 })
  const store = await openStore(join(home, 'ledger'), { create: true })
  try {
    const log = await LevelLog.create(store, { ...source.digestKey(), ...checks.entries.identity })
    let pending: Readable[] = []
    // How many of them end with a complete request, and who the ledger is then.
    let complete = { count: 0, identity: checks.entries.identity }
    const flush = async () => {
      await append(log, pending.slice(0, complete.count))
      pending = pending.slice(complete.count)
      complete = { ...complete, count: 0 }
    }
    let problem: string | null = null
    for (let seq = 0; seq < end && problem === null; seq += 1) {
      const read = source.read(seq)
      problem = 'problem' in read ? read.problem : problemIn(read, checks)
      if (problem !== null || 'problem' in read) break
      pending.push(read)
      if (isComplete(checks, seq + 1)) complete = { count: pending.length, identity: checks.entries.identity }
      if (complete.count >= tileWidth || bytesOf(pending) > limits.batchBytesMax) await flush()
      progress(seq + 1, end)
    }
    await flush()
    const { size } = log.head()
    if (size > 0) {
      await log.rename(complete.identity)
      await rebuildViews(log)
    }
    return { problem, size }
  } finally {
    await store.close()
  }
}

/** What each entry is checked against. */
interface Checks {
  entries: EntryVerification
  runs: RunVerification
  schema: SchemaVerification
  texts: TextVerification
  /** The last seq of each stream. */
  streams: Map<string, number>
}

/** The identity of the ledger comes from its first entry, because the meta row may be lost. */
function checksFrom({ data }: Entry): Checks {
  const { format = 0, ledger_id = '', origin = '' } = data as { format?: number; ledger_id?: string; origin?: string }
  return {
    entries: new EntryVerification({ format, ledger_id, origin }),
    runs: new RunVerification(),
    schema: new SchemaVerification(),
    texts: new TextVerification(),
    streams: new Map(),
  }
}

/** Why an entry does not follow from those before it; null if it does. */
function problemIn(read: Readable, { entries, runs, schema, streams, texts }: Checks): string | null {
  const { entry } = read
  if ((streams.get(entry.stream) ?? null) !== entry.prev.stream)
    return `it does not follow the last entry of ${entry.stream}`
  try {
    schema.entry(entry, read)
    texts.entry(entry, read)
    entries.entry(entry)
    runs.entry(entry)
  } catch (error) {
    return messageOf(error)
  }
  streams.set(entry.stream, entry.seq)
  return null
}

/** Whether the ledger may end with this size: no request and no event of a run is incomplete. */
function isComplete({ entries, runs }: Checks, size: number): boolean {
  try {
    entries.endRequest(size)
    runs.end({ size })
    return true
  } catch {
    return false
  }
}

/** Appends entries with their objects. The objects are stored first, in small writes, as a running ledger does. */
async function append(log: LevelLog, read: readonly Readable[]): Promise<void> {
  if (read.length === 0) return
  const { cursors, size } = log.head()
  const notes = await log.objects.put(
    read.flatMap(({ objects }) => objects.filter(isText)),
    size,
  )
  const writes = [...notes.map((key): ViewWrite => ({ view: 'note', key })), ...erasedIn(read)]
  await log.append({ size }, read, writes, cursors)
}

/** Writes the readable entries of a range, one line of canonical JSON each. Returns their number. */
function writeAfter(source: Source, { from, to }: { from: number; to: number }): number {
  let count = 0
  const descriptor = openSync(join(home, afterName), 'wx', 0o600)
  try {
    for (let seq = from; seq < to; seq += 1) {
      const read = source.read(seq)
      if ('problem' in read) continue
      writeSync(descriptor, `${JSON.stringify(read.entry)}\n`)
      count += 1
      progress(seq + 1, to)
    }
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  return count
}

/** Reports progress now and then, because a child that prints nothing counts as hung. */
function progress(done: number, total: number): void {
  if (done % 1_024 === 0) process.stdout.write(`${done} ${total}\n`)
}
