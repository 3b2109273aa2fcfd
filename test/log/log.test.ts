import { suite } from 'uvu'
import { equal, is, ok, throws } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { formatVersion } from '../../src/kernel/format.ts'
import { hold } from '../../src/lease.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import { encode } from '../../src/log/keyed/rows/codec.ts'
import * as keys from '../../src/log/keyed/rows/keys.ts'
import { leafHashOfText } from '../../src/log/leaf.ts'
import type { ViewWrite } from '../../src/log/log.ts'
import { rootOf } from '../../src/log/tiles.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { consistencyProof, inclusionProof } from '../../src/merkle/proofs.ts'
import { Views } from '../../src/views/views.ts'
import { withStage } from '../ledger/stage.ts'
import { consistencyOf, hexOf, pathOf, rangeRootOf, sha256, tilesOf } from '../merkle/model.ts'
import { logOf, recorded, sampleEntries, sampleMeta } from '../support/log-of.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { randomBelow } from '../support/seed.ts'

const log = suite('the log')
const random = randomBelow('log')
const sizes = [0, 1, 2, 255, 256, 257, 511, 512, 700]

/** Code and details of what a call ends with. */
async function refusalOf(work: () => unknown): Promise<{ code: string; seq: unknown }> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    return { code: error.code, seq: error.details.seq }
  }
  throw new Error('it was not refused')
}

async function read(pages: AsyncIterable<Entry[]>): Promise<number[]> {
  const seqs: number[] = []
  for await (const page of pages) seqs.push(...page.map(({ seq }) => seq))
  return seqs
}

log('hashes an entry to the RFC 6962 leaf of its canonical text', () => {
  const odd = JSON.stringify({ ...sampleEntries(1)[0], type: 'ü€😀\u0000\u2028' })
  for (const text of [...sampleEntries(3).map((entry) => recorded(entry).text), odd]) {
    const bytes = Buffer.from(text)
    is(hexOf(leafHashOfText(text)), hexOf(sha256(Buffer.concat([Buffer.of(0), bytes]))))
    is(hexOf(leafHashOfText(text)), hexOf(leafHash(bytes, sha256)))
  }
})

log('gives the roots, proofs and tiles of RFC 6962, whatever the batches', async () => {
  const entries = sampleEntries(1_400)
  const root = rangeRootOf(entries.map((entry) => leafHashOfText(recorded(entry).text)))
  const store = new MemoryStore()
  const grown = await KeyedLog.create(store, sampleMeta, true)
  while (grown.head().size < entries.length) {
    const { size } = grown.head()
    await grown.append({ size }, entries.slice(size, size + 1 + random(400)).map(recorded), [], {})
    const to = grown.head().size
    is(hexOf(grown.head().root), hexOf(root(0, to)))
    const at = 1 + random(to)
    is(hexOf(await rootOf(grown, at)), hexOf(root(0, at)))
    const seq = random(at)
    equal(inclusionProof(seq, at, grown.tiles, sha256).map(hexOf), pathOf(seq, 0, at, root).map(hexOf))
    equal(consistencyProof(at, to, grown.tiles, sha256).map(hexOf), consistencyOf(at, to, root).proof.map(hexOf))
    const expected = tilesOf(to, root)
    for (const [level, index] of [
      [0, 0],
      [0, Math.floor(to / 256)],
      [1, 0],
      [2, 0],
    ] as const) {
      const tile = grown.tiles.tile(level, index)
      is(tile && hexOf(tile), tileHex(expected.tile(level, index), tile), `tile ${level}/${index} at ${to}`)
    }
  }
  // Full tiles of level 0, and the one above, partial; nothing else is stored of the tree.
  const stored = [...store.pairs.keys()].filter((key) => key.startsWith('74'))
  is(stored.length, Math.floor(1_400 / 256) + 1)
})

/** The partial tile of level 0 is never missing in memory, where the definition has none for no hashes. */
function tileHex(expected: Uint8Array | undefined, tile: Uint8Array | undefined): string | undefined {
  return expected === undefined && tile?.length === 0 ? '' : expected && hexOf(expected)
}

log('reopens as it was closed, at every size', async () => {
  for (const size of sizes) {
    const { log: left, store } = await logOf(sampleEntries(size))
    const opened = KeyedLog.open(store.copy())
    equal(opened.head(), left.head())
    equal(opened.meta, left.meta)
    for (const at of [0, Math.floor(size / 2), size]) is(hexOf(await rootOf(opened, at)), hexOf(await rootOf(left, at)))
    const more = sampleEntries(size + 3).slice(size)
    for (const each of [left, opened]) await each.append({ size }, more.map(recorded), [], {})
    equal(opened.head(), left.head())
  }
})

log('puts each entry and each changed row once, the head once a batch, tiles and receipts once in 256', async () => {
  const { log: counted } = await logOf(sampleEntries(200), { batchMax: 200 })
  const before = { ...counted.counts }
  const entries = sampleEntries(600)
  const row: ViewWrite = { view: 'row', key: 'audit', value: { last_seq: 1, state: null } }
  const putsOf = async (from: number, to: number, writes: ViewWrite[]) => {
    const { puts, batches } = counted.counts
    await counted.append({ size: from }, entries.slice(from, to).map(recorded), writes, {})
    is(counted.counts.batches, batches + 1)
    return counted.counts.puts - puts
  }
  is(await putsOf(200, 201, [row]), 3)
  is(await putsOf(201, 255, [row]), 54 + 1 + 1)
  // The 256th entry fills a tile of level 0 and begins one of level 1.
  is(await putsOf(255, 256, [row]), 1 + 1 + 1 + 2)
  is(await putsOf(256, 257, [row, { view: 'receipts', key: 0, value: new Uint8Array(2048) }]), 4)
  is(await putsOf(257, 512, []), 255 + 1 + 2)
  is(counted.counts.entries - before.entries, 312)
})

log('needs two puts for a lock and one for the head, and three more in 256 entries', async () => {
  await withStage(async (ledger) => {
    let before = ledger.counts
    for (let seq = 1; seq <= 520; seq += 1) {
      const lock_id = `lck_${String((seq + 1) >> 1).padStart(16, '0')}`
      if (seq % 2 === 1) await hold(ledger, { name: `lock-${seq}`, holder: 'holder', lock_id })
      else await ledger.locks.release({ lock_id })
      const { batches, entries, puts } = ledger.counts
      const isFull = (seq + 1) % 256 === 0
      const spent = { batches: batches - before.batches, entries: entries - before.entries, puts: puts - before.puts }
      equal(spent, { batches: 1, entries: 1, puts: isFull ? 6 : 3 }, `entry ${seq}`)
      before = ledger.counts
    }
  })
})

log('appends nothing if another size is expected', async () => {
  const { log: moved, store } = await logOf(sampleEntries(10))
  const pairs = new Map(store.pairs)
  const answer = await moved.append({ size: 9 }, sampleEntries(10).slice(9).map(recorded), [], {})
  equal(answer, { outcome: 'moved', head: moved.head() })
  equal(store.pairs, pairs)
})

log('keeps its head if a write fails', async () => {
  const store = new MemoryStore()
  const { log: failing } = await logOf(sampleEntries(300), { store })
  const head = failing.head()
  store.write = async () => {
    throw new Error('IO error: injected')
  }
  const appended = failing.append({ size: 300 }, sampleEntries(301).slice(300).map(recorded), [], {})
  await appended.then(
    () => ok(false, 'it was not refused'),
    (error: Error) => is(error.message, 'IO error: injected'),
  )
  equal(failing.head(), head)
  equal(failing.counts, { batches: failing.counts.batches, entries: 300, puts: failing.counts.puts })
})

log('with the self check appends nothing that reads back differently from what was hashed', async () => {
  const store = new MemoryStore()
  const checked = await KeyedLog.create(store, sampleMeta, true)
  const [entry] = sampleEntries(1)
  if (entry === undefined) throw new Error('there is no sample')
  const wrong: Entry[] = [
    { ...entry, data: { b: 1, a: 2 } },
    { ...entry, data: { a: 1.5 } },
    { ...entry, data: { a: '\ud800' } },
    { ...entry, data: { A: 1 } },
  ]
  for (const each of wrong) {
    const { code } = await refusalOf(() => checked.append({ size: 0 }, [recorded(each)], [], {}))
    is(code, 'INVARIANT_VIOLATED')
  }
  const otherText = { entry, text: `${JSON.stringify(entry)} ` }
  is((await refusalOf(() => checked.append({ size: 0 }, [otherText], [], {}))).code, 'INVARIANT_VIOLATED')
  is(store.batches.length, 1)
})

log('reads entries in pages, dense, and names the first that is missing', async () => {
  const store = new MemoryStore([], 7)
  const { log: paged } = await logOf(sampleEntries(50), { store })
  equal(
    await read(paged.entries(3, 31)),
    Array.from({ length: 28 }, (_, index) => 3 + index),
  )
  is(paged.entry(49)?.seq, 49)
  is(paged.entry(50), undefined)
  is(paged.isDamaged, false)
  store.delete(keys.entryKey(30))
  store.delete(keys.entryKey(20))
  store.delete(keys.entryKey(49))
  equal(await refusalOf(() => read(paged.entries(0))), { code: 'LEDGER_CORRUPT', seq: 20 })
  equal(await refusalOf(() => read(paged.entries(21))), { code: 'LEDGER_CORRUPT', seq: 30 })
  equal(await refusalOf(() => read(paged.entries(31))), { code: 'LEDGER_CORRUPT', seq: 49 })
  is(paged.isDamaged, false)
  equal(await refusalOf(() => paged.entry(20)), { code: 'LEDGER_CORRUPT', seq: 20 })
  ok(paged.isDamaged, 'a read that failed is remembered')
})

log('keeps the rows of each generation apart, and puts one in force in one batch', async () => {
  const { log: views, store } = await logOf(sampleEntries(20, 5))
  const before = await rowsOf(views)
  is(Object.keys(before).length, 6)
  const other: ViewWrite = { view: 'row', key: 'audit/1', value: { last_seq: 99, state: { count: 1 } } }
  await views.generations.fill(2, [other, { view: 'receipts', key: 0, value: Buffer.from('block') }])
  equal(await rowsOf(views), before)
  is((views.generations.get(2, { view: 'row', key: 'audit/1' }) as { last_seq: number }).last_seq, 99)
  const batches = store.batches.length
  await views.switchTo(2)
  is(store.batches.length, batches + 1)
  equal(await rowsOf(views), { 'audit/1': 99 })
  is(Buffer.from((views.get({ view: 'receipts', key: 0 }) as Uint8Array | undefined) ?? []).toString(), 'block')
  equal(KeyedLog.open(store.copy()).head(), views.head())
  await views.generations.clear([1])
  is([...store.pairs.keys()].filter((key) => /^(?:72|69)01/.test(key)).length, 0)
  equal(await rowsOf(views), { 'audit/1': 99 })
})

log('never fills or clears the generation in force', async () => {
  const { log: views } = await logOf(sampleEntries(5))
  is((await refusalOf(() => views.generations.fill(1, []))).code, 'INVARIANT_VIOLATED')
  is((await refusalOf(() => views.generations.clear([1]))).code, 'INVARIANT_VIOLATED')
})

async function rowsOf(views: KeyedLog): Promise<Record<string, number>> {
  const rows: Record<string, number> = {}
  for await (const [stream, row] of new Views(views).rows('')) rows[stream] = row.last_seq
  return rows
}

log('does not open in a format it does not know', async () => {
  const { store } = await logOf(sampleEntries(3))
  for (const [format, code] of [
    [formatVersion + 1, 'FORMAT_TOO_NEW'],
    [1_000, 'FORMAT_TOO_NEW'],
    [0, 'LEDGER_FORMAT'],
  ] as const) {
    store.put(keys.metaKey, encode(keys.metaKey, { ...sampleMeta, format }))
    is((await refusalOf(() => KeyedLog.open(store))).code, code)
  }
})

log('does not open if the meta or the head row is missing, damaged or inconsistent', async () => {
  const { log: whole, store } = await logOf(sampleEntries(300))
  const head = whole.head()
  const changes: ((copy: MemoryStore) => void)[] = [
    (copy) => copy.delete(keys.metaKey),
    (copy) => copy.delete(keys.headKey),
    (copy) => copy.put(keys.metaKey, Buffer.from('nonsense')),
    (copy) => copy.put(keys.headKey, Buffer.from('nonsense')),
    (copy) => copy.put(keys.headKey, encode(keys.headKey, { ...head, size: 300.5 })),
    (copy) => copy.put(keys.headKey, encode(keys.headKey, { ...head, size: 555 })),
    (copy) => copy.delete(keys.tileKey(1, 0)),
    (copy) => copy.delete(keys.entryKey(299)),
    (copy) => copy.put(keys.entryKey(256), Buffer.from('nonsense')),
  ]
  for (const change of changes) {
    const copy = store.copy()
    change(copy)
    throws(
      () => KeyedLog.open(copy),
      (error: unknown) => error instanceof LockstepError && error.code === 'LEDGER_CORRUPT',
    )
  }
  KeyedLog.open(store.copy())
})

log.run()
