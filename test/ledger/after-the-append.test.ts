import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import { hold } from '../../src/lease.ts'
import type { Store } from '../../src/log/keyed/store.ts'
import { deadPid, foreignText } from '../support/deliverable.ts'
import { type FailingCalls, failingCalls } from '../support/failing-calls.ts'
import { type Scene, scene } from '../support/scene.ts'

// Each call of the file system fails in turn: those after an append, and then all of them from the first. What was
// appended stands and is answered; an error before it is one of ours, and leaves nothing behind that the next open does
// not put right.

const suiteOfSteps = suite('a file step that fails after the append')
const codes = ['EIO', 'EACCES', 'EROFS'] as const
const folderName = 'deliverable:DEL-08-05'
const target_name = 'IAMBECCA | ACME | SITE | shop | NEO'

interface Step {
  /** What the call is about, and the ids that it is asked for with. */
  name: string
  lock_id?: string
  call: () => Promise<unknown>
  /** Ends what the call began. */
  end?: () => Promise<unknown>
}

let asked = 0
function next(digits: number): string {
  asked += 1
  return String(asked).padStart(digits, '0')
}
const newId = () => `lck_${next(16)}`

/** Counts, and lets nothing fail. */
const never = { code: 'EIO', from: Number.POSITIVE_INFINITY, to: 0 }
const orphan = foreignText({ pid: deadPid(), acquired: '2026-01-02T03:04:00Z' })

const steps: Record<string, (stage: Scene) => Promise<Step>> = {
  'the acquire of a free folder': async (stage) => acquireStep(stage),
  'the acquire of a folder with the file of an orphan': async (stage) => {
    writeFileSync(stage.lock, orphan)
    return acquireStep(stage)
  },
  'the recovery of an orphan': async ({ ledger, lock, path }) => {
    writeFileSync(lock, orphan)
    return { name: folderName, call: () => ledger.locks.recover({ name: folderName, folder: path, reason: 'x' }) }
  },
  'a renewal': async (stage) => {
    const step = acquireStep(stage)
    await step.call()
    // Its holder has the lock_id, so a renewal that fails does not name it.
    const { end, lock_id, name } = step
    return { name, end, call: () => stage.ledger.locks.renew({ lock_id }) }
  },
  'a release': async (stage) => {
    const step = acquireStep(stage)
    await step.call()
    return { name: folderName, call: step.end }
  },
  'a break': async (stage) => {
    await acquireStep(stage).call()
    const actor = { actor_id: 'BECCA', actor_type: 'human' } as const
    return { name: folderName, call: () => stage.ledger.locks.break({ actor, name: folderName, reason: 'x' }) }
  },
  'the acquire of a resource': async ({ ledger }) => {
    const lock_id = newId()
    const call = () => hold(ledger, { name: 'reports', holder: 'h', lock_id })
    return { name: 'reports', lock_id, call, end: () => ledger.locks.release({ lock_id }) }
  },
  'the acquire of a project': async ({ ledger }) => {
    const run_id = `run_ACME_shop_2026-02-02_${next(3)}`
    const actor = { actor_id: 'BECCA', actor_type: 'human' } as const
    const release = { actor, run_id, final_status: 'COMPLETE' } as const
    return {
      name: 'project:ACME/SITE/shop',
      lock_id: run_id,
      call: () => ledger.locks.acquire({ target_name, run_id }),
      end: () => ledger.locks.release(release),
    }
  },
}

function acquireStep({ acquire, ledger }: Scene): Required<Step> {
  const lock_id = newId()
  return {
    name: folderName,
    lock_id,
    call: () => acquire({ lock_id }),
    end: () => ledger.locks.release({ lock_id }),
  }
}

for (const [what, prepare] of Object.entries(steps)) {
  const failing = failingCalls()
  suiteOfSteps(
    `keeps ${what} answered`,
    scene(
      async (stage) => {
        const calls = await countCalls(stage, prepare, failing)
        for (const code of codes) {
          for (let call = 1; call <= calls; call += 1) {
            await answered(stage, prepare, failing, { code, from: call, to: call })
          }
          await answered(stage, prepare, failing, { code, from: 1, to: Number.POSITIVE_INFINITY })
        }
        await stage.reopen()
        equal(readdirSync(join(stage.root, '.lockstep/claims')), [])
        equal(locksIn(stage.path), [])
      },
      { wrapStore: armedByAppends(failing) },
    ),
  )
}

suiteOfSteps.run()

const suiteOfCalls = suite('a file step that fails anywhere in a call')
const anyCodes = ['EIO', 'EMFILE', 'ENOSPC', 'EDQUOT', 'EINTR', 'EACCES'] as const

for (const [what, prepare] of Object.entries(steps)) {
  const failing = failingCalls()
  suiteOfCalls(
    `is a coded error of ${what}, and a grant that stands is named`,
    scene(async (stage) => {
      await withFault(stage, prepare, failing, { ...never, isArmed: true })
      const calls = failing.seen
      for (let call = 1; call <= calls; call += 1) {
        const code = anyCodes[call % anyCodes.length] ?? 'EIO'
        await withFault(stage, prepare, failing, { code, from: call, to: call, isArmed: true })
      }
      // What is left is found by whoever opens the ledger, and locks the folder, next.
      await stage.reopen()
      const { call, end } = acquireStep(stage)
      await call()
      await end()
      equal([locksIn(stage.path), readdirSync(join(stage.root, '.lockstep/claims'))], [[], []])
    }),
  )
}

suiteOfCalls.run()

/** What was appended is answered. */
async function answered(...words: Parameters<typeof withFault>): Promise<void> {
  const { outcome } = await withFault(...words)
  ok(!(outcome instanceof Error), `${JSON.stringify(words[3])} in ${words[2].failed}: ${outcome}`)
}

const locksIn = (folder: string) => readdirSync(folder).filter((name) => name.startsWith('.lock'))

/** How many calls of the file system a step makes after its append. */
async function countCalls(
  stage: Scene,
  prepare: (stage: Scene) => Promise<Step>,
  failing: FailingCalls,
): Promise<number> {
  await withFault(stage, prepare, failing, never)
  return failing.seen
}

async function withFault(
  stage: Scene,
  prepare: (stage: Scene) => Promise<Step>,
  failing: FailingCalls,
  fault: Parameters<FailingCalls['during']>[0],
): Promise<{ outcome: unknown }> {
  const step = await prepare(stage)
  const outcome = await failing.during(fault, () => step.call().catch((error: unknown) => error))
  if (outcome instanceof Error) {
    const why = `${fault.code} in call ${fault.from}, ${failing.failed}: ${outcome.stack}`
    ok(outcome instanceof LockstepError && outcome.code !== 'INVARIANT_VIOLATED', why)
    const { state, token } = await statusOf(stage, step.name)
    if (state === 'held' && step.lock_id !== undefined) {
      equal([outcome.details.lock_id, outcome.details.token], [step.lock_id, token], why)
    }
  }
  if (step.end !== undefined && (await statusOf(stage, step.name)).state !== 'free') await step.end()
  is((await statusOf(stage, step.name)).state, 'free', `${fault.code} in call ${fault.from}, ${failing.failed}`)
  return { outcome }
}

async function statusOf({ ledger }: Scene, name: string): Promise<{ state: string; token?: number | null }> {
  try {
    const status = await ledger.locks.status({ name })
    // Without a token only a file is left, which the next acquire or open removes.
    return status.token === undefined ? { state: 'free', token: null } : status
  } catch {
    // It was never held.
    return { state: 'free', token: null }
  }
}

/** A store after whose writes calls begin to fail, while that is asked for. */
function armedByAppends(failing: FailingCalls) {
  return (store: Store): Store => ({
    ...store,
    write: async (batch) => {
      await store.write(batch)
      failing.arm()
    },
  })
}
