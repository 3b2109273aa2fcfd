import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import { limits } from '../../src/kernel/limits.ts'
import { hold } from '../../src/lease.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import { encode } from '../../src/log/keyed/rows/codec.ts'
import * as keys from '../../src/log/keyed/rows/keys.ts'
import type { StoreBatch } from '../../src/log/keyed/store.ts'
import { openLog } from '../../src/log/level/open/open.ts'
import { rebuildViews } from '../../src/verify/rebuild.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { logOf, sampleEntries } from '../support/log-of.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { scene } from '../support/scene.ts'
import { randomBelow } from '../support/seed.ts'
import { foundIn, verified, viewsOf, withLimit, writtenOver } from './generated.ts'

const rebuild = suite('a rebuild of the views')
const random = randomBelow('rebuild')
const isNotRow = (key: string) => !/^(?:69|72|78)/.test(key)

rebuild('gives the rows and receipts that appends wrote, byte for byte', async () => {
  for (let history = 0; history < 6; history += 1) {
    const store = new MemoryStore([], 1 + random(600))
    const { go, log, receipts, sequencer } = await writtenOver(store, random)
    await go(300 + random(1_500))
    await sequencer.close()
    const [before, found, pairs] = [await viewsOf(log), await foundIn(log, receipts), new Map(store.pairs)]
    ok(before.rows.length > 20 && Object.keys(found).length > 20)
    const rebuilt = await rebuildViews(log)
    equal(rebuilt, { entries: log.head().size, generation: 2, kept: 0, rows: before.rows.length })
    equal(await viewsOf(log), before)
    equal(await foundIn(log), found)
    equal(valuesIn(store, 2), valuesIn(new MemoryStore(pairs), 1))
    equal([...store.pairs.keys()].filter(isNotRow), [...pairs.keys()].filter(isNotRow), 'nothing else is touched')
    await verified(KeyedLog.open(store.copy()))
  }
})

/** The stored rows and receipts of a generation, without their checksums: those cover the generation too. */
function valuesIn({ pairs }: MemoryStore, generation: number): [string, string][] {
  const byte = Buffer.of(generation).toString('hex')
  return [...pairs]
    .filter(([key]) => !isNotRow(key) && key.slice(2, 4) === byte)
    .map(([key, value]): [string, string] => [key.slice(0, 2) + key.slice(4), hexOf(value.subarray(0, -4))])
    .sort()
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

rebuild('gives the same with few rows in memory: the others are kept in the store', async () => {
  const store = new MemoryStore([], 16)
  const { go, log, sequencer } = await writtenOver(store, random)
  await go(900)
  await sequencer.close()
  const before = await viewsOf(log)
  const reads = readsOf(store)
  await withLimit(limits, 'rebuildRowsMax', 8, () => rebuildViews(log))
  ok(reads.rows > 20, 'rows were read back')
  equal(await viewsOf(log), before)
  await verified(log)
})

function readsOf(store: MemoryStore): { rows: number } {
  const reads = { rows: 0 }
  const get = store.get.bind(store)
  store.get = (key) => {
    if (keys.kindOf(key) === 'row') reads.rows += 1
    return get(key)
  }
  return reads
}

rebuild('comes into force by one batch, which writes only the head', async () => {
  const { log, store } = await rebuildable()
  const before = log.head()
  store.batches.length = 0
  await rebuildViews(log)
  const withHead = store.batches.filter(({ puts }) => puts.some(({ key }) => keys.kindOf(key) === 'head'))
  is(withHead.length, 1)
  is(withHead[0]?.puts.length, 1)
  equal(withHead[0]?.deletes, [])
  equal(log.head(), { ...before, generation: 2 }, 'size, root and cursors stay')
  const kinds = new Set(store.batches.flatMap(({ puts }) => puts.map(({ key }) => keys.kindOf(key))))
  equal(kinds, new Set(['row', 'receipts', 'head']))
})

rebuild(
  'that is cut off at any of its writes leaves the old views in force or the new ones, and both are whole',
  async () => {
    const { log, store } = await rebuildable()
    const before = await viewsOf(log)
    const start = store.copy()
    store.batches.length = 0
    await withLimit(limits, 'rebuildRowsMax', 16, () => rebuildViews(log))
    const batches = [...store.batches]
    ok(batches.length > 5, 'there are writes to be cut off at')
    const switched = batches.findIndex(({ puts }) => puts.some(({ key }) => keys.kindOf(key) === 'head'))
    for (let written = 0; written <= batches.length; written += 1) {
      const crashed = await after(start, batches.slice(0, written))
      const opened = KeyedLog.open(crashed)
      is(opened.head().generation, written <= switched ? 1 : 2)
      equal(await viewsOf(opened), before)
      const { warnings } = await verified(opened)
      const isClean = written === 0 || written === batches.length
      is(warnings.length, isClean ? 0 : 1, `after ${written} of ${batches.length} writes`)
      await rebuildViews(opened)
      equal(await viewsOf(opened), before)
      equal(generationsIn(crashed), [opened.head().generation], 'the next rebuild clears what the first one left')
      equal((await verified(opened)).warnings, [])
    }
  },
)

async function after(start: MemoryStore, batches: readonly StoreBatch[]): Promise<MemoryStore> {
  const store = start.copy()
  for (const batch of batches) await store.write(batch)
  return store
}

rebuild('whose write fails leaves the old views in force', async () => {
  const { log, store } = await rebuildable()
  const before = await viewsOf(log)
  const write = store.write.bind(store)
  let left = 2
  store.write = async (batch) => {
    left -= 1
    if (left < 0) throw new Error('IO error: injected')
    await write(batch)
  }
  const error = await rebuildViews(log).then(String, String)
  is(error, 'Error: IO error: injected')
  is(KeyedLog.open(store.copy()).head().generation, 1)
  equal(await viewsOf(KeyedLog.open(store.copy())), before)
})

rebuild('clears every other generation first', async () => {
  const { log, store } = await rebuildable()
  for (const generation of [2, 3, 99, 250]) {
    await log.generations.fill(generation, [
      { view: 'row', key: `audit/left-${generation}`, value: { last_seq: 1, state: null } },
      { view: 'receipts', key: 0, value: Buffer.alloc(2_048) },
      { view: 'index', key: Buffer.from('c'), value: Buffer.alloc(6) },
    ])
  }
  equal(generationsIn(store), [1, 2, 3, 99, 250])
  const { warnings } = await verified(log)
  equal(warnings, ['12 rows of an unfinished rebuild remain; the next rebuild deletes them'])
  const before = await viewsOf(log)
  await rebuildViews(log)
  equal(generationsIn(store), [2])
  equal(await viewsOf(log), before)
})

rebuild('returns to the first generation after the last', async () => {
  const { log, store } = await rebuildable(40)
  const before = await viewsOf(log)
  const seen: number[] = []
  for (let time = 0; time < 251; time += 1) seen.push((await rebuildViews(log)).generation)
  equal([seen[0], seen[248], seen[249], seen[250]], [2, 250, 1, 2])
  equal(generationsIn(store), [2])
  equal(await viewsOf(log), before)
})

rebuild('repairs wrong, missing and surplus rows and receipts', async () => {
  const { log, store } = await rebuildable()
  const before = await viewsOf(log)
  const damages: ((key: Buffer) => void)[] = [
    () => store.delete(keys.rowKey(1, 'audit/3')),
    () => store.put(keys.rowKey(1, 'audit/3'), store.get(keys.rowKey(1, 'audit/4')) ?? Buffer.alloc(0)),
    () => store.delete(keys.receiptsKey(1, 0)),
    () => store.put(keys.receiptsKey(1, 1), Buffer.from('nonsense')),
    (key) => store.put(key, store.get(keys.rowKey(1, 'audit/3')) ?? Buffer.alloc(0)),
  ]
  for (const damage of damages) {
    const { generation } = log.head()
    if (generation !== 1) await log.switchTo(1)
    damage(keys.rowKey(1, 'nobody'))
  }
  const found = await verified(log).then(() => 'nothing', String)
  ok(found.includes('VERIFY_FAILED'), found)
  await rebuildViews(log)
  equal(await viewsOf(log), before)
  await verified(log)
})

rebuild('keeps each row that it replaces, in a file that is made only if there is one', async () => {
  const { log, store } = await logOf(sampleEntries(300, 5))
  const folder = temporaryRoot()
  const first = join(folder, 'evidence', 'first.jsonl')
  is((await rebuildViews(log, { replaced: first })).kept, 0)
  is(existsSync(first), false)
  const { generation } = log.head()
  const row = (name: string) => keys.rowKey(generation, name)
  const other = { last_seq: 1, state: { count: 1 } }
  const before = log.generations.get(generation, { view: 'row', key: 'audit/1' })
  store.put(row('audit/1'), encode(row('audit/1'), other))
  store.put(row('audit/2'), Buffer.from('nonsense'))
  store.put(row('nobody'), encode(row('nobody'), other))
  store.put(keys.stateKey(generation, 'nothing'), encode(keys.stateKey(generation, 'nothing'), 7))
  const second = join(folder, 'evidence', 'second.jsonl')
  is((await rebuildViews(KeyedLog.open(store), { replaced: second })).kept, 4)
  const lines = readFileSync(second, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  equal(lines[0], { view: 'row', key: 'audit/1', before: other, after: before })
  equal(lines[1].before, { damaged: Buffer.from('nonsense').toString('base64') })
  equal(lines.slice(2), [
    { view: 'row', key: 'nobody', before: other, after: null },
    { view: 'state', key: 'nothing', before: 7, after: null },
  ])
})

rebuild('stops at an entry that does not follow its predecessor in the stream, and changes nothing', async () => {
  const entries = sampleEntries(300, 5)
  const wrong = entries.map((entry) => (entry.seq === 200 ? { ...entry, prev: { ...entry.prev, stream: 3 } } : entry))
  const { log, store } = await logOf(wrong)
  const before = await viewsOf(log)
  equal(await codeOf(() => rebuildViews(log)), { code: 'LEDGER_CORRUPT', seq: 200 })
  is(KeyedLog.open(store.copy()).head().generation, 1)
  equal(await viewsOf(log), before)
})

rebuild(
  'over LevelDB verifies, and locks, files and answers are as before',
  scene(async (stage) => {
    const kept = await hold(stage.ledger, { name: 'kept', holder: 'h', lock_id: 'lck_kept-over-the-rebuild' })
    const folder = await stage.acquire()
    for (let at = 0; at < 140; at += 1)
      await (await hold(stage.ledger, { name: `name-${at % 9}`, holder: 'h' })).release()
    const before = { head: await stage.ledger.head.get(), visible: stage.visible() }
    await stage.ledger.close()
    const layout = layoutOf(stage.root)
    const log = await openLog({ layout, openWaitSeconds: 0, command: 'rebuild', nonce: () => 'rebuild' })
    const views = await viewsOf(log)
    await rebuildViews(log)
    equal(await viewsOf(log), views)
    await log.close()

    const again = await stage.reopen()
    equal({ head: await again.head.get(), visible: stage.visible() }, before)
    is((await again.log.verify()).warnings.length, 0)
    const replayed = await hold(again, { name: 'kept', holder: 'h', lock_id: kept.lock_id })
    equal([replayed.token, replayed.replayed], [kept.token, true])
    is((await again.locks.status({ name: 'name-1' })).state, 'free')
    await again.locks.release({ lock_id: folder.lock_id })
  }),
)

rebuild.run()

/** A log of notes in several streams, with requests among them. */
function rebuildable(size = 300): Promise<{ log: KeyedLog; store: MemoryStore }> {
  return logOf(sampleEntries(size, 9), { store: new MemoryStore([], 20) })
}

function generationsIn({ pairs }: MemoryStore): number[] {
  const found = [...pairs.keys()].filter((key) => !isNotRow(key)).map((key) => Number.parseInt(key.slice(2, 4), 16))
  return [...new Set(found)].sort((left, right) => left - right)
}

async function codeOf(work: () => Promise<unknown>): Promise<{ code: string; seq: unknown } | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    return { code: error.code, seq: error.details.seq }
  }
}
