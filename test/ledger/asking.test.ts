import { readdirSync } from 'node:fs'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { testActor, withLedger } from '../support/ledger.ts'

const asking = suite('a question that may not take long')
const entries = 5_000

async function fill({ audit }: LocalLedger): Promise<void> {
  const event = { action_type: 'system', outcome: 'success' } as const
  for (let at = 0; at < entries; at += 1_000) await audit.append({ events: Array.from({ length: 1_000 }, () => event) })
}

const question = (ledger: LocalLedger) => ledger.audit.list({ actor_id: testActor.actor_id, limit: 10_000 })

asking('is told how far the index has come, which is kept for the next time', () =>
  withLedger(async (ledger) => {
    await fill(ledger)
    const { size } = await ledger.head.get()
    const steps: unknown[] = []
    for (let asked = await ledger.askFor(0, question); ; asked = await ledger.askFor(0, question)) {
      if (asked === 'late') break
      if ('answer' in asked) {
        is(asked.answer.events.length, size)
        break
      }
      steps.push(asked.indexed)
    }
    equal(steps, [
      { done: 2_048, total: size },
      { done: 4_096, total: size },
    ])
    is((await ledger.log.verify()).indexed, size)
  }),
)

asking('is answered from a snapshot where it takes longer, as of that moment', () =>
  withLedger(async (ledger, root) => {
    await fill(ledger)
    const { size } = await ledger.head.get()
    is(await ledger.askFor(0, () => new Promise(() => {})), 'late')
    const snapshot = await ledger.snapshot()
    await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
    is((await question(snapshot)).events.length, size)
    equal((await snapshot.head.get()).size, size)
    const refused = await hold(snapshot, { name: 'a', holder: 'a' }).catch((error: unknown) => error)
    ok(refused instanceof LockstepError)
    is((refused as LockstepError).code, 'INVALID_INPUT')
    is((await snapshot.log.verify()).entries, size)
    await snapshot.close()
    equal(readdirSync(layoutOf(root).snapshots), [])
    is((await ledger.head.get()).size, size + 1)
  }),
)

asking('rejects with what the question rejects with', () =>
  withLedger(async (ledger) => {
    const error = await ledger
      .askFor(1_000, async () => ledger.runs.get({ run_id: 'run_nobody' }))
      .catch((error: unknown) => error)
    is(error instanceof LockstepError && error.code, 'NOT_FOUND')
  }),
)

asking.run()
