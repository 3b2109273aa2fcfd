import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { type Layout, layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import { hold } from '../../src/lease.ts'
import type { LevelLog } from '../../src/log/level/level-log.ts'
import { takeSnapshot } from '../../src/log/level/open/snapshot-files.ts'
import { openLedger } from '../../src/open.ts'
import { rebuildViews } from '../../src/verify/rebuild.ts'
import { rebuildBeside } from '../../src/verify/rebuild-beside.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { withLog } from '../support/opened-log.ts'
import { remainsOf } from '../support/remains.ts'
import { viewsOf } from './generated.ts'

const beside = suite('a rebuild while others use the ledger')
let keys = 0

/** A few entries of all kinds of views: locks, requests, and audit events enough to fill blocks of receipts. */
async function work(layout: Layout, events = 70): Promise<void> {
  const ledger = await openLedger({ dir: layout.root, actor: testActor })
  keys += 1
  const event = { action_type: 'system', outcome: 'success' } as const
  await ledger.audit.append({ events: Array.from({ length: events }, () => event), idempotency_key: `key-${keys}` })
  const lease = await hold(ledger, { name: `lock-${keys % 3}`, holder: 'h' })
  if (keys % 2 === 0) await hold(ledger, { name: `kept-${keys}`, holder: 'h' })
  await lease.release()
  await ledger.close()
}

async function ledgerOf(events: number): Promise<Layout> {
  const layout = layoutOf(temporaryRoot())
  await (await openLedger({ dir: layout.root, create: true, policy: false, actor: testActor })).close()
  for (let left = events; left > 0; left -= 500) await work(layout, Math.min(left, 500))
  return layout
}

/** Rebuilds in a copy and puts it in force in slices as short as can be, with something in between. */
async function rebuild(layout: Layout, { nonce = 'a', between = async () => {} }): Promise<number> {
  let slices = 0
  const hold = async <T>(held: (log: LevelLog) => Promise<T>): Promise<T> => {
    slices += 1
    if (slices > 1) await between()
    return withLog(layout.root, held)
  }
  const copy = await withLog(layout.root, (log) => takeSnapshot(log, layout, { later, nonce: `rebuild-${nonce}` }))
  try {
    await rebuildViews(copy)
    await rebuildBeside(copy, { hold, nonce, pauseMillis: 0, sliceMillis: 0 })
  } finally {
    await copy.close()
  }
  return slices
}

const generationOf = (layout: Layout) => withLog(layout.root, async (log) => log.head().generation)

beside('includes what others append meanwhile, and gives the same views as appends do', async () => {
  const layout = await ledgerOf(900)
  ok((await rebuild(layout, { between: () => work(layout) })) > 4)
  is(await generationOf(layout), 2)
  const views = await withLog(layout.root, viewsOf)
  await withLog(layout.root, async (log) => void (await rebuildViews(log)))
  equal(views, await withLog(layout.root, viewsOf))
  equal((await endsWithVerify(layout.root)).warnings, [])
})

beside(
  'that is cut off in any slice leaves the old views in force or the new ones, and the next clears the rest',
  async () => {
    const layout = await ledgerOf(300)
    let isDone = false
    for (let cut = 2; !isDone; cut += 1) {
      const generation = await generationOf(layout)
      let left = cut
      const between = async () => {
        left -= 1
        if (left <= 0) throw new Error('cut off')
        await work(layout, 5)
      }
      isDone = await rebuild(layout, { between, nonce: `cut-${cut}` }).then(
        () => true,
        (error: Error) => {
          if (error.message !== 'cut off') throw error
          return false
        },
      )
      await endsWithVerify(layout.root)
      ok([generation, generation + 1].includes(await generationOf(layout)))
    }
    await rebuild(layout, { nonce: 'last' })
    equal((await endsWithVerify(layout.root)).warnings, [])
  },
)

beside('gives up when free texts are erased meanwhile, and leaves nothing of them', async () => {
  const secret = 'the witness lives at 17 Elm Street'
  const [ann, becca] = ['ann', 'BECCA'].map((actor_id) => ({ actor_id, actor_type: 'human' as const }))
  const layout = layoutOf(temporaryRoot())
  const config = { operators: ['ann'] }
  const made = await openLedger({ actor: testActor, config, create: true, dir: layout.root })
  await made.policy.reload()
  await made.runs.create({ notes: secret, run_id: 'run_one_1', run_kind: 'orchestrator' })
  await made.close()
  let slices = 0
  const between = async () => {
    slices += 1
    if (slices !== 3) return
    const ledger = await openLedger({ actor: testActor, dir: layout.root })
    const { approval_id } = await ledger.erasures.approve({ actor: becca, reason: 'secret_leaked', texts: {} })
    await ledger.erasures.erase({ actor: ann, approval_id, texts: true })
    await ledger.close()
  }
  const error = await rebuild(layout, { between }).catch((error: unknown) => error)
  equal((error as { code?: string }).code, 'LEDGER_UNAVAILABLE')
  is(await generationOf(layout), 1)
  await (await openLedger({ actor: testActor, dir: layout.root })).close()
  equal(await remainsOf(layout.root, secret), [])
  await rebuild(layout, { nonce: 'again' })
  is(await generationOf(layout), 2)
  await endsWithVerify(layout.root)
})

beside('changes nothing any more after another rebuild began later', async () => {
  const layout = await ledgerOf(300)
  let slices = 0
  const between = async () => {
    slices += 1
    if (slices === 2) await rebuild(layout, { nonce: 'later' })
  }
  const error = await rebuild(layout, { between, nonce: 'earlier' }).catch((error: unknown) => error)
  equal([error instanceof LockstepError && error.code, await generationOf(layout)], ['LEDGER_UNAVAILABLE', 2])
  equal((await endsWithVerify(layout.root)).warnings, [])
})

/** These copies are not asked to sign. */
function later(): never {
  throw new Error('no later copy is needed')
}

beside.run()
