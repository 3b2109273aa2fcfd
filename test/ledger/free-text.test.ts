import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import { type Ledger, openLedger } from '../../src/index.ts'
import { defaultConfig } from '../../src/kernel/config.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import type { StoredEntry } from '../../src/log/free-texts.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import { decodeStored, encodeEntry } from '../../src/log/keyed/rows/codec.ts'
import { entryKey } from '../../src/log/keyed/rows/keys.ts'
import { openStore } from '../../src/log/level/store.ts'
import { verifyLog } from '../../src/verify/verify.ts'
import { verifyProof } from '../../src/verify.ts'
import { Receipts } from '../../src/views/receipts.ts'
import { Views } from '../../src/views/views.ts'
import { ConfigInForce } from '../../src/writer/config-in-force.ts'
import { Sequencer } from '../../src/writer/sequencer.ts'
import { refusalOf } from '../support/deliverable.ts'
import { temporaryRoot, testActor } from '../support/ledger.ts'
import { logOf, sampleEntries, sampleMeta } from '../support/log-of.ts'
import { StageClock, withStage } from './stage.ts'

const texts = suite('free text')

const event = { action_type: 'system', outcome: 'success' } as const
/** The seq of a new event. */
async function appended(ledger: Ledger, more: object): Promise<number> {
  const { events } = await ledger.audit.append({ events: [{ ...event, ...more }] })
  return events[0]?.seq ?? 0
}

const notes = 'Frau Größe rief wegen der Akte an'

texts('is not in what is hashed, and readers see it all the same', () =>
  withStage(async (ledger) => {
    const artifact = { artifact_id: 'art', artifact_kind: 'text', hash_sha256: 'ab'.repeat(32) }
    const withNotes = { ...artifact, confidentiality: { contains_pii: true, notes } }
    const seq = await appended(ledger, { input_artifacts: [artifact, withNotes], notes })
    const { data } = await ledger.log.entry({ seq })
    equal(data.notes, notes)
    equal(data.input_artifacts, [artifact, withNotes])
    const proof = await ledger.log.prove({ seq })
    ok(!JSON.stringify(proof.entry).includes('Größe'))
    const verified = await verifyProof(proof, { vkey: proof.vkey })
    ok(verified.ok)
    equal(verified.texts, [
      { path: '/data/input_artifacts/1/confidentiality/notes', text: notes },
      { path: '/data/notes', text: notes },
    ])
    equal(verified.withheld, [])
    const [one, other] = proof.disclosures
    ok(one !== undefined && other !== undefined && one.salt !== other.salt)
  }),
)

texts('can be withheld one by one, and a wrong or further text does not verify', () =>
  withStage(async (ledger) => {
    const seq = await appended(ledger, { notes, outcome_reason: 'called' })
    const proof = await ledger.log.prove({ seq })
    const [first, second] = proof.disclosures as [(typeof proof.disclosures)[0], (typeof proof.disclosures)[0]]
    const outcomeOf = async (disclosures: unknown) => {
      const verified = await verifyProof({ ...proof, disclosures })
      return verified.ok ? verified.withheld : verified.check
    }
    equal(await outcomeOf([second]), [first.path])
    equal(await outcomeOf(undefined), [first.path, second.path])
    for (const wrong of [
      [{ ...first, text: `${first.text}.` }],
      [{ ...first, salt: second.salt }],
      [{ ...first, path: second.path }],
      [{ ...first, path: '/data/outcome' }],
      [{ ...first, extra: 1 }],
      [{ ...first, salt: first.salt.slice(2) }],
      [first, first],
      [first, second, { ...second, path: '/data/target' }],
      [{ path: first.path }],
      { 0: first },
    ]) {
      is(await outcomeOf(wrong), 'disclosure', JSON.stringify(wrong))
    }
  }),
)

texts('costs no row: only the bytes of its entry', () =>
  withStage(async (ledger) => {
    const putsOf = async (more: { notes?: string }) => {
      const before = ledger.counts.puts
      await appended(ledger, more)
      return ledger.counts.puts - before
    }
    is(await putsOf({ notes }), await putsOf({}))
  }),
)

/** A ledger with one entry that has free text, after a change of what is stored of that entry. */
async function changedLedger(change: (stored: StoredEntry) => StoredEntry): Promise<{ root: string; seq: number }> {
  const root = temporaryRoot()
  const ledger = await openLedger({ actor: testActor, create: true, dir: root, policy: false })
  const seq = await appended(ledger, { notes, outcome_reason: 'called' })
  await ledger.close()
  const store = await openStore(layoutOf(root).ledger, { create: false })
  const key = entryKey(seq)
  const stored = decodeStored(key, store.get(key) ?? new Uint8Array())
  await store.write({ puts: [{ key, value: encodeEntry(key, change(stored)).value }], deletes: [] })
  await store.close()
  return { root, seq }
}

const others = ({ text, texts = [] }: StoredEntry, change: (list: NonNullable<StoredEntry['texts']>) => unknown) =>
  ({ text, texts: change(texts) }) as StoredEntry

texts('that is changed, missing, extra or erased without an entry is found by verify', async () => {
  const changes: ((stored: StoredEntry) => StoredEntry)[] = [
    (stored) => others(stored, ([first, second]) => [{ ...first, text: 'other' }, second]),
    (stored) => others(stored, ([first, second]) => [{ ...first, salt: 'ab'.repeat(32) }, second]),
    (stored) => others(stored, ([first, second]) => [{ ...first, more: 'hidden' }, second]),
    (stored) => others(stored, ([first, second]) => [first, second, { path: '/data/more', salt: '', text: '' }]),
    (stored) => others(stored, ([first, second]) => [first, second, second]),
    (stored) => others(stored, ([first, second]) => [{ path: first?.path }, second]),
    (stored) => others(stored, ([, second]) => [second]),
    ({ text }) => ({ text }),
  ]
  for (const change of changes) {
    const { root, seq } = await changedLedger(change)
    const reader = await openLedger({ dir: root, actor: testActor, snapshot: true })
    const { code, details } = await refusalOf(() => reader.log.verify())
    await reader.close()
    equal(
      [code === 'VERIFY_FAILED' || code === 'LEDGER_CORRUPT', details.check, details.seq],
      [true, 'texts', seq],
      String(change),
    )
  }
})

texts('that was erased reads as [erased], and one that is missing otherwise stops its reader', async () => {
  const erased = await changedLedger((stored) => others(stored, ([first, second]) => [{ path: first?.path }, second]))
  const ledger = await openLedger({ dir: erased.root, actor: testActor, snapshot: true })
  const { data } = await ledger.log.entry({ seq: erased.seq })
  equal([data.notes, data.outcome_reason], ['[erased]', 'called'])
  const proof = await ledger.log.prove({ seq: erased.seq })
  const verified = await verifyProof(proof, { vkey: proof.vkey })
  ok(verified.ok)
  equal([verified.texts.length, verified.withheld], [1, ['/data/notes']])
  equal((await ledger.audit.list({})).events.at(-1)?.notes, '[erased]')
  await ledger.close()

  const missing = await changedLedger(({ text }) => ({ text }))
  const reader = await openLedger({ dir: missing.root, actor: testActor, snapshot: true })
  is((await refusalOf(() => reader.log.entry({ seq: missing.seq }))).code, 'LEDGER_CORRUPT')
  await reader.close()
})

/** The finding about a log whose entry 5 has another hashed text than the ledger writes. */
async function findingOf(entries: readonly Entry[], textOf?: (entry: Entry) => string): Promise<unknown> {
  const { log } = await logOf(entries, textOf && { textOf })
  try {
    return (await verifyLog(log, layoutOf(temporaryRoot()), defaultConfig)).entries
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    return [error.details.check, error.details.seq]
  } finally {
    await log.close()
  }
}

texts('must be committed to from format 2 on, and only there', async () => {
  const entries = sampleEntries(9)
  is(await findingOf(entries), 9)
  const plain = (entry: Entry) => JSON.stringify(entry.seq === 5 ? { ...entry, data: entries[5]?.data } : entry)
  equal(await findingOf(entries, plain), ['texts', 5])
  const moved = (entry: Entry) => {
    const { target } = entry.data as { target?: object }
    const data = { ...entry.data, target: { ...target, name: { commitment: 'ab'.repeat(32) } } } as Entry['data']
    return JSON.stringify(entry.seq === 5 ? { ...entry, data } : entry)
  }
  equal(await findingOf(entries, moved), ['texts', 5])
  const old = entries.map((entry) => (entry.seq === 0 ? { ...entry, data: { ...entry.data, format: 1 } } : entry))
  const early = (entry: Entry) => (entry.seq === 0 ? JSON.stringify(old[0]) : JSON.stringify(entry))
  equal(await findingOf(entries, early), ['texts', 1])
})

/** A sequencer over a new log in the format. */
async function sequencerOver(format: number) {
  const store = await openStore(join(temporaryRoot(), 'ledger'), { create: true })
  const log = await KeyedLog.create(store, { ...sampleMeta, format }, true)
  const config = new ConfigInForce(defaultConfig)
  const parts = {
    config,
    cursors: () => ({}),
    forked: () => undefined,
    log,
    now: new StageClock().now,
    published: () => {},
  }
  const sequencer = new Sequencer({ ...parts, receipts: new Receipts(log), views: new Views(log) })
  const data = { format, ...sampleMeta, vkey: 'sample' }
  await sequencer.submit({ actor: testActor, command: { type: 'ledger.create', data } })
  return { log, sequencer }
}

texts(
  'of a request is not confirmed by its digest, and a repetition is recognised across the raise and a restore',
  async () => {
    const { log, sequencer } = await sequencerOver(1)
    const ask = async (key: string, content: string) => {
      const sha256 = createHash('sha256').update(content).digest('hex')
      const command = { type: 'audit.append', events: [event] } as const
      const { entries, replayed } = await sequencer.submit({ actor: testActor, command, request: { key, sha256 } })
      return { isPlain: entries[0]?.request?.sha256 === sha256, replayed }
    }
    equal(await ask('old', 'one'), { isPlain: true, replayed: false })
    const { root, size } = log.head()
    const data = { from: 1, head_size: null, root: Buffer.from(root).toString('hex'), size, to: 2 }
    log.raise()
    await sequencer.submit({ actor: testActor, command: { type: 'ledger.upgrade', data } })
    equal(await ask('old', 'one'), { isPlain: true, replayed: true })
    equal(await ask('new', 'one'), { isPlain: false, replayed: false })
    await log.rename({ ...log.meta, ledger_id: 'restoredlog00', origin: 'lockstep.test/restored' })
    for (const key of ['old', 'new']) {
      equal(await ask(key, 'one'), { isPlain: key === 'old', replayed: true })
      is((await refusalOf(() => ask(key, 'two'))).code, 'IDEMPOTENCY_MISMATCH')
    }
    await sequencer.close()
    await log.close()
  },
)

texts.run()
