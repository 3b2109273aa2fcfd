import { userInfo } from 'node:os'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { temporaryRoot, withLedger } from '../support/ledger.ts'

const authn = suite('how a program in its own process is known')

const known = `os:${userInfo().username}`
const agent = { actor_id: 'agent-7', actor_type: 'agent' } as const

/** How the actors of all entries are known. */
async function authnsIn(ledger: LocalLedger): Promise<Set<string | undefined>> {
  const found = new Set<string | undefined>()
  for await (const { actor } of ledger.log.read({})) found.add(actor.authn)
  return found
}

async function work(ledger: LocalLedger): Promise<void> {
  await ledger.locks.acquire({ actor: agent, holder: 'h', name: 'a' })
  await ledger.locks.acquire({ holder: 'h', name: 'b' })
  await ledger.runs.create({ run_id: 'run_own_1', run_kind: 'orchestrator' })
  await ledger.runs.create({ run_actor: agent, run_id: 'run_other_1', run_kind: 'orchestrator' })
}

authn('is not, unless the program asks for it: its claims may be those of its own callers', () =>
  withLedger(async (ledger) => {
    await work(ledger)
    equal(await authnsIn(ledger), new Set([undefined]))
    is((await ledger.locks.status({ name: 'a' })).authn, undefined)
  }),
)

authn('is the user of the system on every entry, if the program asks for it', () =>
  withLedger(
    async (ledger) => {
      await work(ledger)
      equal(await authnsIn(ledger), new Set([known]))
      const { actor_id, authn: ofGrant } = await ledger.locks.status({ name: 'a' })
      equal([actor_id, ofGrant], ['agent-7', known])
    },
    { authn: 'os' },
  ),
)

authn('is that of the actor of a run only if this actor created the run', () =>
  withLedger(
    async (ledger) => {
      await work(ledger)
      is((await ledger.runs.get({ run_id: 'run_own_1' })).actor?.authn, known)
      is((await ledger.runs.get({ run_id: 'run_other_1' })).actor?.authn, undefined)
      // The data of the run has the claim alone.
      const { events } = await ledger.audit.entries({ run_id: 'run_own_1' })
      equal(Object.keys(events[0]?.data.actor ?? {}), ['actor_id', 'actor_type'])
    },
    { authn: 'os' },
  ),
)

authn('cannot be stated by the program in another way', async () => {
  const dir = temporaryRoot()
  const forged = [{ authn: 'token:tok_1' }, { actor: { ...agent, authn: 'token:tok_1' } }] as object[]
  for (const options of forged) {
    const error = await openLedger({ create: true, dir, ...options }).catch((thrown: unknown) => thrown)
    is(error instanceof LockstepError && error.code, 'INVALID_INPUT')
  }
})

authn.run()
