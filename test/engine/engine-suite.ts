import type { Test } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { Entry } from '../../src/kernel/entry.ts'
import type { ErasedWrite } from '../../src/log/erased.ts'
import type { StoredEntry } from '../../src/log/free-texts.ts'
import { leafHashOfText } from '../../src/log/leaf.ts'
import type { Key, Log, Recorded, ViewWrite } from '../../src/log/log.ts'
import { sha256 } from '../../src/log/sha256.ts'
import { inclusionProofsOf, rootOf } from '../../src/log/tiles.ts'
import { verifyInclusion } from '../../src/merkle/proofs.ts'
import { sha256Hex } from '../../src/writer/core.ts'
import { recorded, sampleEntries, sampleMeta } from '../support/log-of.ts'

/** An engine under test. */
export interface EngineUnderTest {
  /** A new log without entries, with `sampleMeta`. */
  begin: () => Promise<Log>
  /** Makes the next write fail: before anything of it is durable, or after all of it is. */
  failNextWrite: (log: Log, when: 'before' | 'after') => void
  /** Opens again what a failed log left; undefined for an engine that keeps nothing. */
  reopened: (log: Log) => Promise<Log | undefined>
}

const streams = 5

async function appendAll(log: Log, entries: readonly Entry[], writes: readonly ViewWrite[] = []): Promise<void> {
  const answer = await log.append({ size: entries[0]?.seq ?? 0 }, entries.map(recorded), writes, {})
  equal(answer, { outcome: 'done' })
}

async function entriesOf(log: Pick<Log, 'entries'>, from = 0, to?: number): Promise<number[]> {
  const seqs: number[] = []
  for await (const page of log.entries(from, to)) seqs.push(...page.map(({ seq }) => seq))
  return seqs
}

async function scanned(
  log: Pick<Log, 'scan'>,
  view: 'row' | 'state',
  prefix: string,
  after?: string,
): Promise<string[]> {
  const keys: string[] = []
  for await (const page of log.scan(view, prefix, after)) keys.push(...page.map(([key]) => key))
  return keys
}

const value = async (log: Pick<Log, 'load'>, key: Key) => (await log.load([key]))[0]
const bytes = (...all: number[]) => Uint8Array.from(all)

/** What every engine must do, whatever it is made of. */
export function addEngineCases(suite: Test, engine: EngineUnderTest): void {
  const on = (title: string, work: (log: Log) => Promise<void>) =>
    suite(title, async () => {
      const log = await engine.begin()
      try {
        await work(log)
      } finally {
        await log.close()
      }
    })

  on('begins empty, with its identity', async (log) => {
    equal([log.meta.ledger_id, log.meta.origin], [sampleMeta.ledger_id, sampleMeta.origin])
    equal([log.head().size, log.head().cursors, await entriesOf(log)], [0, {}, []])
    is(await value(log, { view: 'entry', key: 0 }), undefined)
  })

  on('an append is readable as a whole once it resolves, and is not in the head before', async (log) => {
    const entries = sampleEntries(10, streams)
    const appending = log.append({ size: 0 }, entries.map(recorded), [], { files: 3 })
    is(log.head().size, 0)
    equal(await appending, { outcome: 'done' })
    equal([log.head().size, log.head().cursors], [10, { files: 3 }])
    equal(await log.load(entries.map(({ seq }): Key => ({ view: 'entry', key: seq }))), entries)
    equal(
      [await entriesOf(log), await entriesOf(log, 3, 6), await entriesOf(log, 9)],
      [[...Array(10).keys()], [3, 4, 5], [9]],
    )
    is(await value(log, { view: 'entry', key: 10 }), undefined)
  })

  on('a load gives the values in the order of its keys, and undefined for a key without a value', async (log) => {
    const text = '{"a":1}'
    const digest = sha256Hex(text)
    await appendAll(log, sampleEntries(2), [
      { view: 'row', key: 'audit', value: { last_seq: 1, state: { count: 1 } } },
      { view: 'state', key: 'w\u0000t one', value: { stem: 'one' } },
      { view: 'receipts', key: 0, value: bytes(1, 2, 3) },
      { view: 'object', key: digest, value: text },
    ])
    await log.index.write([{ view: 'index', key: bytes(7), value: bytes(8) }])
    const keys: Key[] = [
      { view: 'state', key: 'nothing' },
      { view: 'row', key: 'audit' },
      { view: 'row', key: 'audit/nobody' },
      { view: 'state', key: 'w\u0000t one' },
      { view: 'object', key: digest },
      { view: 'receipts', key: 1 },
    ]
    const row = { last_seq: 1, state: { count: 1 } }
    equal(await log.load(keys), [undefined, row, undefined, { stem: 'one' }, text, undefined])
    const stored = await log.load([
      { view: 'receipts', key: 0 },
      { view: 'index', key: bytes(7) },
    ])
    equal(
      stored.map((each) => [...(each as Uint8Array)]),
      [[1, 2, 3], [8]],
    )
    equal(await log.load([]), [])
  })

  on('a write of undefined deletes a value', async (log) => {
    const [first, ...others] = sampleEntries(3)
    await appendAll(
      log,
      [first as Entry],
      [
        { view: 'state', key: 'a', value: 1 },
        { view: 'receipts', key: 0, value: bytes(1) },
      ],
    )
    await appendAll(log, others, [
      { view: 'state', key: 'a', value: undefined },
      { view: 'receipts', key: 0, value: undefined },
    ])
    equal(
      await log.load([
        { view: 'state', key: 'a' },
        { view: 'receipts', key: 0 },
      ]),
      [undefined, undefined],
    )
    equal(await scanned(log, 'state', ''), [])
  })

  on('an append on another size writes nothing and says where the log is', async (log) => {
    await appendAll(log, sampleEntries(4))
    const writes: ViewWrite[] = [{ view: 'state', key: 'a', value: 1 }]
    for (const size of [0, 3, 5]) {
      const answer = await log.append({ size }, sampleEntries(6).slice(4).map(recorded), writes, {})
      ok(answer.outcome === 'moved' && answer.head.size === 4, `size ${size}`)
    }
    equal([log.head().size, await value(log, { view: 'state', key: 'a' })], [4, undefined])
  })

  on('appends that are called one after the other, unawaited, are written in that order', async (log) => {
    const entries = sampleEntries(60, streams)
    const appends = Array.from({ length: 6 }, (_, at) =>
      log.append({ size: at * 10 }, entries.slice(at * 10, at * 10 + 10).map(recorded), [], {}),
    )
    for (const answer of await Promise.all(appends)) equal(answer, { outcome: 'done' })
    equal(await entriesOf(log), [...Array(60).keys()])
  })

  on('scans give what has a prefix, in the order of UTF-8', async (log) => {
    const names = ['a', 'a/1', 'a/10', 'a/2', 'a/\u{1f600}', 'a/\uffff', 'b']
    const writes = names
      .toReversed()
      .map((key): ViewWrite => ({ view: 'row', key, value: { last_seq: 0, state: key } }))
    await appendAll(log, sampleEntries(1), [...writes, { view: 'state', key: 'a/state', value: 1 }])
    const inOrder = names.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
    equal(await scanned(log, 'row', ''), inOrder)
    equal(
      await scanned(log, 'row', 'a/'),
      inOrder.filter((name) => name.startsWith('a/')),
    )
    equal([await scanned(log, 'row', 'c'), await scanned(log, 'state', '')], [[], ['a/state']])
    for (const [at, key] of inOrder.entries()) equal(await scanned(log, 'row', '', key), inOrder.slice(at + 1))
    equal(await scanned(log, 'state', '', 'a/state'), [])
  })

  on('a snapshot stays as it is while others append', async (log) => {
    await appendAll(log, sampleEntries(5), [{ view: 'state', key: 'a', value: 1 }])
    const snapshot = await log.snapshot()
    await appendAll(log, sampleEntries(9).slice(5), [
      { view: 'state', key: 'a', value: 2 },
      { view: 'state', key: 'b', value: 2 },
    ])
    equal([snapshot.head().size, await entriesOf(snapshot)], [5, [0, 1, 2, 3, 4]])
    equal([await value(snapshot, { view: 'state', key: 'a' }), await scanned(snapshot, 'state', '')], [1, ['a']])
    equal([await value(log, { view: 'state', key: 'a' }), await scanned(log, 'state', '')], [2, ['a', 'b']])
    await snapshot.close()
  })

  on('the tiles prove every entry against the root, at every size', async (log) => {
    const entries = sampleEntries(700)
    for (const [from, to] of [
      [0, 1],
      [1, 255],
      [255, 256],
      [256, 700],
    ] as const) {
      await appendAll(log, entries.slice(from, to))
      const proofOf = inclusionProofsOf(log, to)
      const root = await rootOf(log, to)
      equal(Buffer.from(root).toString('hex'), Buffer.from(log.head().root).toString('hex'))
      for (const seq of [0, Math.floor(to / 2), to - 1]) {
        const claim = {
          leafHash: leafHashOfText(recorded(entries[seq] as Entry).text),
          proof: await proofOf(seq),
          root,
          seq,
          size: to,
        }
        ok(await verifyInclusion(claim, sha256), `entry ${seq} of ${to}`)
      }
    }
  })

  on('index rows are listed in the order of their bytes, within bounds and a limit', async (log) => {
    const keys = [bytes(1), bytes(1, 0), bytes(1, 255), bytes(2), bytes(200)]
    await log.index.write(keys.toReversed().map((key) => ({ view: 'index', key, value: key })))
    const listed = async (from: Uint8Array, to: Uint8Array, limit?: number) => {
      const found: number[][] = []
      for await (const page of log.index.pages(from, to, limit)) found.push(...page.map(([key]) => [...key]))
      return found
    }
    equal(
      await listed(bytes(0), bytes(255)),
      keys.map((key) => [...key]),
    )
    equal(await listed(bytes(1, 0), bytes(2)), [
      [1, 0],
      [1, 255],
    ])
    equal(await listed(bytes(0), bytes(255), 2), [[1], [1, 0]])
    await log.index.write([{ view: 'index', key: bytes(1), value: undefined }])
    is((await listed(bytes(0), bytes(255))).length, 4)
  })

  on('objects are stored with notes, which the append of their entry deletes', async (log) => {
    const texts = ['one', 'two', 'x'.repeat(500_000)].map((text): [string, string] => [sha256Hex(text), text])
    const digests = texts.map(([digest]) => digest)
    equal(await log.objects.missing(digests), digests)
    const notes = await log.objects.put(texts, 0)
    equal(await log.objects.missing([...digests, 'f'.repeat(64)]), ['f'.repeat(64)])
    equal(
      (await log.objects.notes()).map(({ number }) => number),
      notes,
    )
    equal(
      await log.load(digests.map((key): Key => ({ view: 'object', key }))),
      texts.map(([, text]) => text),
    )
    await appendAll(
      log,
      sampleEntries(1),
      notes.slice(1).map((key): ViewWrite => ({ view: 'note', key })),
    )
    equal(
      (await log.objects.notes()).map(({ number }) => number),
      notes.slice(0, 1),
    )
    await log.objects.drop(digests.slice(0, 1), notes.slice(0, 1))
    equal([await log.objects.missing(digests), await log.objects.notes()], [digests.slice(0, 1), []])
    const error = await Promise.resolve()
      .then(() => log.load([{ view: 'object', key: digests[0] ?? '' }]))
      .catch((thrown: { code?: string }) => thrown)
    is((error as { code?: string }).code, 'LEDGER_CORRUPT')
  })

  on('free texts are erased by the appends that say so, and what is hashed stays', async (log) => {
    const told = (entry: Entry, text: string): Entry => {
      const data = {
        action_type: 'system',
        notes: `${text}\n"notes" \u0000 \u2028`,
        outcome: 'success',
        outcome_reason: text,
      }
      return { ...entry, data, type: 'audit.recorded' }
    }
    const [first, ...others] = sampleEntries(7)
    ok(first)
    const entries = [first, ...others.map((entry) => told(entry, `what ${entry.seq} said`))]
    await appendAll(log, entries.slice(0, 4))
    await appendAll(log, entries.slice(4, 5))
    const stored = (key: number): Key => ({ view: 'stored', key })
    const before = await log.load([1, 2, 3, 4].map(stored))
    const root = await rootOf(log, 5)
    const [reason, notes] = ['/data/outcome_reason', '/data/notes']
    const erase = (at: number, erased: [number, string[]][]) => {
      const writes = erased.map(([key, value]): ErasedWrite => ({ view: 'texts', key, value }))
      return log.append({ size: at }, entries.slice(at, at + 1).map(recorded), writes, {})
    }
    // The second append is prepared before the first one is durable.
    const answers = await Promise.all([
      erase(5, [
        [1, [notes]],
        [4, [notes, reason]],
      ]),
      erase(6, [
        [1, [reason]],
        [2, [notes]],
      ]),
    ])
    equal(answers, [{ outcome: 'done' }, { outcome: 'done' }])
    const left = new Map([
      [1, []],
      [2, [reason]],
      [3, [notes, reason]],
      [4, []],
    ] as [number, string[]][])
    for (const [seq, each] of (await log.load([1, 2, 3, 4].map(stored))).entries()) {
      const [was, is] = [before[seq], each] as StoredEntry[]
      const kept = left.get(seq + 1) ?? []
      const texts = was?.texts?.map((held) => (kept.includes(held.path) ? held : { path: held.path }))
      equal(is, { text: was?.text, texts })
    }
    equal(await rootOf(log, 5), root)
    const [one, two] = (await log.load([1, 2].map((key): Key => ({ view: 'entry', key })))) as Entry[]
    equal(
      [one?.data.notes, one?.data.outcome_reason, two?.data.outcome_reason],
      ['[erased]', '[erased]', 'what 2 said'],
    )
  })

  on('the largest batch is written whole', async (log) => {
    const entries: Recorded[] = sampleEntries(4_096, 300).map(recorded)
    equal(await log.append({ size: 0 }, entries, [], {}), { outcome: 'done' })
    equal([log.head().size, (await entriesOf(log)).length], [4_096, 4_096])
  })

  on('a copy has the same content, and what is written to it stays in it', async (log) => {
    await appendAll(log, sampleEntries(3), [{ view: 'state', key: 'a', value: 1 }])
    const copy = await log.copy()
    try {
      equal([copy.head().size, await entriesOf(copy)], [3, [0, 1, 2]])
      await copy.index.write([{ view: 'index', key: bytes(1), value: bytes(1) }])
      is(await value(log, { view: 'index', key: bytes(1) }), undefined)
    } finally {
      await copy.close()
    }
  })

  for (const when of ['before', 'after'] as const) {
    suite(`an append whose write fails ${when} it is durable rejects, and is there whole or not at all`, async () => {
      const log = await engine.begin()
      await appendAll(log, sampleEntries(3))
      engine.failNextWrite(log, when)
      const writes: ViewWrite[] = [{ view: 'state', key: 'a', value: 1 }]
      const more = sampleEntries(8).slice(3)
      const appends = [
        log.append({ size: 3 }, more.slice(0, 3).map(recorded), writes, {}),
        log.append({ size: 6 }, more.slice(3).map(recorded), [], {}),
      ]
      for (const { status } of await Promise.allSettled(appends)) is(status, 'rejected')
      is(log.head().size, 3, 'nothing of it is published')
      const again = await engine.reopened(log)
      if (again === undefined) return
      const size = when === 'after' ? 6 : 3
      equal([again.head().size, (await entriesOf(again)).length], [size, size])
      is(await value(again, { view: 'state', key: 'a' }), when === 'after' ? 1 : undefined)
      await appendAll(again, sampleEntries(size + 1).slice(size))
      await again.close()
    })
  }
}
