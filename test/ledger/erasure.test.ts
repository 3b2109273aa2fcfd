import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import type { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import type { Store } from '../../src/log/keyed/store.ts'
import { openStore } from '../../src/log/level/store.ts'
import { openLedger } from '../../src/open.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { remainsOf } from '../support/remains.ts'
import { startRuns } from '../support/turns.ts'

const erasures = suite('an erasure')
const ann = { actor_id: 'ann', actor_type: 'human' } as const
const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
const reason = 'data_subject_request' as const
const secret = 'the witness lives at 17 Elm Street'
const run_id = 'run_one_1'

const create = (dir: string) =>
  openLedger({ actor: testActor, config: { operators: ['ann'] }, create: true, dir, self_check: true })

/** Promotes bodies with a text one after the other under one stem. All but the last are not needed then. */
async function promote(ledger: LocalLedger, texts: readonly string[], first = 1): Promise<string[]> {
  const digests: string[] = []
  for (const [index, text] of texts.entries()) {
    const turn_id = `turn-${String(first + index).padStart(4, '0')}`
    await ledger.turns.apply({ run_id, triplets: [{ body: { text }, stem: 'note' }], turn_id })
    for await (const { body_digest } of ledger.workspaces.triplets({ run_id })) digests.push(body_digest)
  }
  return digests
}

async function erase(ledger: LocalLedger, digests: string[]) {
  const { approval_id } = await ledger.erasures.approve({ actor: becca, digests, reason })
  return ledger.erasures.erase({ actor: ann, approval_id, digests, reason })
}

/** The size of a text that is stored in several pieces, which LevelDB cannot compress away. */
const long = (text: string) => `${text} ${Array.from({ length: 60_000 }, (_, at) => at.toString(36)).join(' ')}`

erasures('leaves nothing of the text in any file of the ledger', async () => {
  const root = temporaryRoot()
  const ledger = await create(root)
  await startRuns(ledger, [run_id])
  const staged = join(layoutOf(root).staging, run_id, 'turn-0009')
  mkdirSync(staged, { recursive: true })
  writeFileSync(join(staged, 'note.body.json'), JSON.stringify({ text: `${secret} 1` }, null, 2))
  writeFileSync(join(staged, 'other.body.json'), '{"text":"stays"}')
  const digests = await promote(ledger, [`${secret} 1`, long(secret), `${secret} 3`, 'harmless'])
  await ledger.workspaces.pin({ name: 'kept', run_id, turn_id: 'turn-0001' })
  await ledger.workspaces.files()
  const answer = await erase(ledger, digests.slice(0, 3))
  equal([answer.files, answer.may_remain], ['current', []])
  await ledger.workspaces.check({ run_id })
  await ledger.close()
  equal(await remainsOf(root, secret), [])
  equal((await remainsOf(root, 'stays')).length, 1)
  await endsWithVerify(root)
})

erasures('of one text among many leaves the others', async () => {
  const root = temporaryRoot()
  const ledger = await create(root)
  await startRuns(ledger, [run_id])
  const digests = await promote(
    ledger,
    [...Array(20).keys()].map((at) => `${at === 7 ? secret : 'text'} ${at}`),
  )
  // What is in memory goes to tables, and the text with its first mark into one of them.
  is((await erase(ledger, [digests[7] ?? ''])).files, 'current')
  for (const [at, digest] of digests.entries()) {
    if (at !== 7) is((await ledger.workspaces.object({ digest })).digest, digest)
  }
  await ledger.close()
  equal(await remainsOf(root, secret), [])
  await endsWithVerify(root)
})

erasures('ends after a crash at any of its writes', async () => {
  for (let step = 0, isOver = false; !isOver; step += 1) {
    const root = temporaryRoot()
    const made = await create(root)
    await startRuns(made, [run_id])
    const digests = (await promote(made, [`${secret} 1`, `${secret} 2`, 'harmless'])).slice(0, 2)
    const { approval_id } = await made.erasures.approve({ actor: becca, digests, reason })
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
      return {
        ...store,
        flush: counted(store.flush),
        rewrite: counted(store.rewrite),
        write: counted(store.write),
      }
    }
    const ledger = await openLedger({ actor: testActor, dir: root, wrapStore: failing })
    left = step
    isOver = await ledger.erasures.erase({ actor: ann, approval_id, digests, reason }).then(
      () => true,
      () => false,
    )
    await ledger.close().catch(() => {})
    const again = await openLedger({ actor: testActor, dir: root })
    const answer = await again.erasures.erase({ actor: ann, approval_id, digests, reason })
    equal([answer.files, answer.replayed], ['current', step > 0])
    await again.close()
    equal(await remainsOf(root, secret), [], `step ${step}`)
    await endsWithVerify(root)
    ok(step < 20, 'it ends')
  }
})

/** Opens the database of a closed ledger, changes one object, and says what a verification then finds. */
async function foundAfter(root: string, change: (log: KeyedLog) => Promise<void>): Promise<string> {
  const store = await openStore(layoutOf(root).ledger, { create: false })
  await change(KeyedLog.open(store))
  await store.close()
  return endsWithVerify(root).then(
    () => 'nothing',
    (error: LockstepError) => `${error.code} ${error.details.check}`,
  )
}

erasures('is accepted by a verification only as its entry says', async () => {
  const made = async () => {
    const root = temporaryRoot()
    const ledger = await create(root)
    await startRuns(ledger, [run_id])
    const [old = '', kept = ''] = await promote(ledger, [`${secret} 1`, `${secret} 2`, 'harmless'])
    const { text } = await ledger.workspaces.object({ digest: old })
    const { seq } = await erase(ledger, [old])
    await ledger.close()
    return { kept, old, root, seq, text }
  }
  const changes: [string, (of: Awaited<ReturnType<typeof made>>, log: KeyedLog) => Promise<unknown>][] = [
    ['nothing', async () => {}],
    // An object that no entry erases is missing, or has a mark of its own.
    ['VERIFY_FAILED objects', async ({ kept }, log) => log.objects.drop([kept], [])],
    ['VERIFY_FAILED objects', async ({ kept, seq }, log) => mark(log, kept, seq)],
    // The erased object has no mark, or that of another entry, or its text again.
    ['VERIFY_FAILED objects', async ({ old }, log) => log.objects.drop([old], [])],
    ['VERIFY_FAILED objects', async ({ old, seq }, log) => mark(log, old, seq - 1)],
    [
      'VERIFY_FAILED objects',
      async ({ old, text }, log) => {
        const [note = 0] = await log.objects.put([[old, text]], 0)
        await log.append({ size: log.head().size }, [], [{ view: 'note', key: note }], log.head().cursors)
      },
    ],
  ]
  const mark = (log: KeyedLog, key: string, value: number) =>
    log.append({ size: log.head().size }, [], [{ view: 'erased', key, value }], log.head().cursors)
  for (const [index, [expected, change]] of changes.entries()) {
    const of = await made()
    const found = await foundAfter(of.root, async (log) => void (await change(of, log)))
    is(found, expected, `change ${index}`)
  }
})

erasures.run()
