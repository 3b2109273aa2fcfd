// limit: 240
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import type { LockstepError } from '../../src/errors.ts'
import { erasedText } from '../../src/kernel/free-text.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import type { ErasedWrite } from '../../src/log/erased.ts'
import type { StoredEntry } from '../../src/log/free-texts.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import { encodeEntry } from '../../src/log/keyed/rows/codec.ts'
import { entryKey } from '../../src/log/keyed/rows/keys.ts'
import type { Store } from '../../src/log/keyed/store.ts'
import { openStore } from '../../src/log/level/store.ts'
import { openLedger } from '../../src/open.ts'
import { rebuildViews } from '../../src/verify/rebuild.ts'
import { verifyProof } from '../../src/verify.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { becca, fileOf, lock, release, run_id } from '../support/projects.ts'
import { remainsOf } from '../support/remains.ts'

const erasures = suite('an erasure of free texts')
const ann = { actor_id: 'ann', actor_type: 'human' } as const
const reason = 'data_subject_request' as const
const secret = 'the witness lives at 17 Elm Street'
const case_id = 'CASE-17'
const [open, ended] = ['run_open_1', 'run_ended_1']

async function create(dir: string): Promise<LocalLedger> {
  const ledger = await openLedger({
    actor: testActor,
    config: { operators: ['ann'] },
    create: true,
    dir,
    self_check: true,
  })
  await ledger.policy.reload()
  return ledger
}

type Texts = Parameters<LocalLedger['erasures']['preview']>[0]['texts']

async function erase(ledger: LocalLedger, texts: Texts = {}) {
  const { approval_id } = await ledger.erasures.approve({ actor: becca, reason, texts })
  return ledger.erasures.erase({ actor: ann, approval_id, texts: true })
}

/** Records the secret in entries of several kinds, some of which are in rows and files too. */
async function scatter(ledger: LocalLedger): Promise<void> {
  const texts = { notes: `${secret} (notes)`, run_name: secret }
  for (const id of [open, ended]) {
    await ledger.runs.create({ case_id, run_id: id, run_kind: 'orchestrator', ...texts })
    await ledger.runs.start({ run_id: id })
  }
  const error = { error_code: 'E_1', message: `${secret} (error)`, retryable: false }
  await ledger.runs.fail({ error, outcome_reason: 'it_failed', run_id: ended })
  const event = { action_type: 'system', case_id, notes: secret, outcome: 'success', outcome_reason: 'told' } as const
  await ledger.audit.append({ events: [event] })
  await lock({ ledger }, { reason: secret })
  await ledger.exports.approve({
    actor: { ...becca, role_id: 'COMPLIANCE' },
    approval_type: 'compliance',
    notes: secret,
    select: { run_id: ended },
  })
  const { token_id } = await ledger.tokens.create({ actor: becca, grants: ['agent'], token_actor: testActor })
  await ledger.tokens.revoke({ actor: becca, reason: secret, token_id })
}

erasures('leaves nothing of a text in any file of the ledger, and every proof of before verifies', async () => {
  const root = temporaryRoot()
  const ledger = await create(root)
  await scatter(ledger)
  const before = await ledger.head.signed()
  const { size } = before
  const preview = await ledger.erasures.preview({ texts: {} })
  equal([preview.selection, preview.more, preview.hold_id], [{ from: 0, to: size }, false, null])
  const answer = await erase(ledger)
  equal([answer.texts, answer.files, answer.may_remain], [preview.count, 'current', []])
  for (const { paths, seq } of preview.texts) {
    const proof = await ledger.log.prove({ seq, size })
    equal([proof.disclosures, proof.root], [[], before.root])
    is((await verifyProof(proof, { vkey: before.vkey })).ok, true)
    is(JSON.stringify(await ledger.log.entry({ seq })).split(erasedText).length - 1, paths.length)
  }
  is((await ledger.runs.get({ run_id: open })).run_name, erasedText)
  is((await ledger.runs.get({ run_id: ended })).error?.message, erasedText)
  ok(JSON.stringify(await ledger.locks.list()).includes(erasedText))
  is((await ledger.erasures.preview({ texts: {} })).count, 0)
  // The open run and the lock go on, and their files follow.
  await ledger.runs.complete({ outcome_reason: 'done', run_id: open })
  await release({ ledger })
  await ledger.close()
  equal(await remainsOf(root, secret), [])
  await endsWithVerify(root)
})

erasures('of one field of one entry leaves the other texts', async () => {
  const root = temporaryRoot()
  const ledger = await create(root)
  await scatter(ledger)
  const { texts } = await ledger.erasures.preview({ texts: { fields: ['/data/notes'], run_id: open } })
  const [seq = 0] = texts.map((each) => each.seq)
  is((await erase(ledger, { fields: ['/data/notes'], from: seq, to: seq + 1 })).texts, 1)
  const { notes, run_name } = await ledger.runs.get({ run_id: open })
  equal([notes, run_name], [erasedText, secret])
  const { disclosures } = await ledger.log.prove({ seq })
  equal(
    disclosures.map(({ path }) => path),
    ['/data/run_name'],
  )
  is((await erase(ledger, { run_id: open })).texts, 1)
  await ledger.close()
  await endsWithVerify(root)
})

erasures('ends after a crash at any of its writes', async () => {
  for (let step = 0, isOver = false; !isOver; step += 1) {
    const root = temporaryRoot()
    const made = await create(root)
    await scatter(made)
    const { approval_id } = await made.erasures.approve({ actor: becca, reason, texts: {} })
    await made.close()
    let left = Number.POSITIVE_INFINITY
    const failing = (store: Store): Store => {
      const counted =
        <A extends unknown[], R>(work: (...all: A) => Promise<R>) =>
        async (...all: A): Promise<R> => {
          left -= 1
          if (left < 0) throw new Error('the process ends here')
          return work(...all)
        }
      return { ...store, flush: counted(store.flush), rewrite: counted(store.rewrite), write: counted(store.write) }
    }
    const ledger = await openLedger({ actor: testActor, dir: root, wrapStore: failing })
    left = step
    const asked = { actor: ann, approval_id, texts: true } as const
    isOver = await ledger.erasures.erase(asked).then(
      () => true,
      () => false,
    )
    await ledger.close().catch(() => {})
    const again = await openLedger({ actor: testActor, dir: root })
    const answer = await again.erasures.erase(asked)
    equal([answer.files, answer.replayed], ['current', step > 0])
    await again.close()
    equal(await remainsOf(root, secret), [], `step ${step}`)
    await endsWithVerify(root)
    ok(step < 20, 'it ends')
  }
})

erasures('that overlap bring nothing back and name each text once, while an open run goes on', async () => {
  const root = temporaryRoot()
  const ledger = await create(root)
  await scatter(ledger)
  const selections: Texts[] = [{ run_id: open }, { case_id }, { fields: ['/data/notes'] }, { actor_id: 'agent-1' }, {}]
  const approvals = []
  for (const texts of selections) approvals.push(await ledger.erasures.approve({ actor: becca, reason, texts }))
  let isDone = false
  const working = (async () => {
    for (let at = 0; !isDone; at += 1) {
      const event = { action_type: 'system', notes: `${secret} ${at}`, outcome: 'success', run_id: open } as const
      await ledger.audit.append({ events: [event] })
    }
  })()
  const counts = await Promise.all(
    approvals.map(({ approval_id }) =>
      ledger.erasures.erase({ actor: ann, approval_id, texts: true }).then(
        ({ texts }) => texts,
        (error: LockstepError) => error.code,
      ),
    ),
  )
  isDone = true
  await working
  ok(
    counts.every((count) => typeof count === 'number' || count === 'NOT_FOUND'),
    counts.join(),
  )
  is((await ledger.runs.get({ run_id: open })).run_name, erasedText)
  await erase(ledger)
  await ledger.close()
  equal(await remainsOf(root, secret), [])
  await endsWithVerify(root)
})

erasures('is not undone by a rebuild, nor by rows of an earlier generation', async () => {
  const root = temporaryRoot()
  const made = await create(root)
  await scatter(made)
  await made.close()
  const rebuild = async () => {
    const store = await openStore(layoutOf(root).ledger, { create: false })
    await rebuildViews(KeyedLog.open(store))
    await store.close()
  }
  await rebuild()
  const ledger = await openLedger({ actor: testActor, dir: root })
  is((await erase(ledger)).files, 'current')
  await ledger.close()
  equal(await remainsOf(root, secret), [])
  await rebuild()
  equal(await remainsOf(root, secret), [])
  await endsWithVerify(root)
})

erasures('waits for a reader that keeps old files, and a stream that began before goes on', async () => {
  const root = temporaryRoot()
  const ledger = await create(root)
  await scatter(ledger)
  const snapshot = await ledger.snapshot()
  const reading = ledger.log.read({ from: 0 })[Symbol.asyncIterator]()
  const first = await reading.next()
  const answer = await erase(ledger)
  is(answer.may_remain.length, 1)
  is((await snapshot.runs.get({ run_id: open })).run_name, secret)
  let count = first.done ? 0 : 1
  for (let next = await reading.next(); !next.done; next = await reading.next()) count += 1
  ok(count > 0)
  await snapshot.close()
  await ledger.close()
  const again = await openLedger({ actor: testActor, dir: root })
  await again.close()
  equal(await remainsOf(root, secret), [])
  await endsWithVerify(root)
})

erasures('has no text of its own to erase, and a refusal of one has', async () => {
  const root = temporaryRoot()
  const ledger = await create(root)
  await scatter(ledger)
  await ledger.erasures.erase({ actor: testActor, approval_id: `era_${'0'.repeat(21)}`, texts: true }).catch(() => {})
  await erase(ledger)
  const { count } = await ledger.erasures.preview({ texts: {} })
  is(count, 0)
  const code = await erase(ledger).then(
    () => 'none',
    (error: LockstepError) => error.code,
  )
  is(code, 'NOT_FOUND')
  await ledger.close()
  await endsWithVerify(root)
})

/** Opens the database of a closed ledger, changes it, and says what a verification then finds. */
async function foundAfter(root: string, change: (log: KeyedLog, store: Store) => Promise<unknown>): Promise<string> {
  const store = await openStore(layoutOf(root).ledger, { create: false })
  await change(KeyedLog.open(store), store)
  await store.close()
  return endsWithVerify(root).then(
    () => 'nothing',
    (error: LockstepError) => `${error.code} ${error.details.check}`,
  )
}

erasures('is accepted by a verification only as its entry says', async () => {
  const texts = { run_id: open }
  type Made = { before: StoredEntry; other: number; root: string; seq: number }
  const made = async (): Promise<Made> => {
    const root = temporaryRoot()
    const ledger = await create(root)
    await scatter(ledger)
    const [one] = (await ledger.erasures.preview({ texts })).texts
    const [other] = (await ledger.erasures.preview({ texts: { run_id: ended } })).texts
    const seq = one?.seq ?? 0
    await ledger.close()
    const store = await openStore(layoutOf(root).ledger, { create: false })
    const [before] = (await KeyedLog.open(store).load([{ view: 'stored', key: seq }])) as [StoredEntry]
    await store.close()
    const again = await openLedger({ actor: testActor, dir: root })
    await erase(again, texts)
    await again.close()
    return { before, other: other?.seq ?? 0, root, seq }
  }
  const write = (store: Store, seq: number, stored: StoredEntry) => {
    const key = entryKey(seq)
    return store.write({ deletes: [], puts: [{ key, value: encodeEntry(key, stored).value }] })
  }
  const changes: [string, (of: Made, log: KeyedLog, store: Store) => Promise<unknown>][] = [
    ['nothing', async () => {}],
    // A text is marked as erased that no entry erases, or has neither a text nor a mark.
    [
      'VERIFY_FAILED texts',
      ({ other }, log) => {
        const erased: ErasedWrite = { view: 'texts', key: other, value: ['/data/notes'] }
        return log.append({ size: log.head().size }, [], [erased], log.head().cursors)
      },
    ],
    ['LEDGER_CORRUPT texts', ({ before, seq }, _, store) => write(store, seq, { text: before.text })],
    // The erased text is there again, or only its salt, or another text.
    ['VERIFY_FAILED texts', ({ before, seq }, _, store) => write(store, seq, before)],
    [
      'VERIFY_FAILED texts',
      ({ before, seq }, _, store) => {
        const texts = before.texts?.map(({ path, ...held }) => ({ path, salt: 'salt' in held ? held.salt : '' }))
        return write(store, seq, { text: before.text, ...(texts && { texts }) })
      },
    ],
    [
      'VERIFY_FAILED texts',
      ({ before, seq }, _, store) => {
        const texts = before.texts?.map((held) => ({ ...held, text: 'another' }))
        return write(store, seq, { text: before.text, ...(texts && { texts }) })
      },
    ],
  ]
  for (const [index, [expected, change]] of changes.entries()) {
    const of = await made()
    is(await foundAfter(of.root, (log, store) => change(of, log, store)), expected, `change ${index}`)
  }
})

erasures('removes a reason from RUN_LOCK.json, but not from a file that was edited by hand', async () => {
  for (const isEdited of [false, true]) {
    const root = temporaryRoot()
    const ledger = await create(root)
    await scatter(ledger)
    const path = join(root, fileOf(run_id))
    const text = readFileSync(path, 'utf8')
    ok(text.includes(secret))
    if (isEdited) writeFileSync(path, text.replace('"LOCKED"', '"LOCKED", "by": "hand"'))
    is((await erase(ledger)).files, 'current')
    is(readFileSync(path, 'utf8').includes(secret), isEdited)
    await ledger.close()
    await endsWithVerify(root)
  }
})

erasures.run()
