import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { layoutOf } from '../src/disk/layout.ts'
import { createLedger } from '../src/nouns/create.ts'
import { openLedger } from '../src/open.ts'
import { refusalOf } from './support/deliverable.ts'
import { nextOf } from './support/entries.ts'
import { endsWithVerify, temporaryRoot, testActor } from './support/ledger.ts'

const opening = suite('opening a ledger')

opening('that cannot finish what the last process left closes the ledger', async () => {
  const dir = temporaryRoot()
  await createLedger({ dir, actor: testActor })
  const { claims } = layoutOf(dir)
  rmSync(claims, { recursive: true })
  writeFileSync(claims, 'in the way')
  is((await refusalOf(openLedger({ dir, actor: testActor }))).code, 'FILE_FAILED')
  rmSync(claims)
  const ledger = await openLedger({ dir, actor: testActor, open_wait_s: 0 })
  is((await ledger.head.get()).size, 1)
  await ledger.close()
  await endsWithVerify(dir)
})

opening('with an invalid policy leaves no folder and no open file', async () => {
  const dir = temporaryRoot()
  // Its files are missing.
  mkdirSync(join(dir, 'contract/v1/policy'), { recursive: true })
  const make = () => refusalOf(openLedger({ dir, create: true, actor: testActor }))
  is((await make()).code, 'POLICY_INVALID')
  const open = readdirSync('/dev/fd').length
  is((await make()).code, 'POLICY_INVALID')
  is(readdirSync('/dev/fd').length, open)
  equal(readdirSync(dir), ['contract'])
})

opening('with create makes the folder too, and refuses a second time', async () => {
  const dir = join(temporaryRoot(), 'a/b')
  await (await openLedger({ dir, create: true, policy: false, actor: testActor })).close()
  const again = openLedger({ dir, create: true, policy: false, actor: testActor })
  is((await refusalOf(again)).code, 'LEDGER_EXISTS')
  await endsWithVerify(dir)
})

opening(
  'with create: if-missing creates once, however many callers there are, and opens the governing ledger',
  async () => {
    const dir = join(temporaryRoot(), 'new')
    const make = async (at: string) => {
      const ledger = await openLedger({ dir: at, create: 'if-missing', policy: false, actor: testActor })
      const { origin, size } = await ledger.head.get()
      await ledger.close()
      return [ledger.dir, origin, size]
    }
    const made = await Promise.all([make(dir), make(dir), make(dir)])
    equal(new Set(made.map(String)).size, 1)
    equal(await make(join(dir, 'below')), made[0])
    await endsWithVerify(dir)
  },
)

opening.run()

const closed = suite('a closed ledger')

closed('answers LEDGER_CLOSED to every call that reads its database', async () => {
  const dir = temporaryRoot()
  const ledger = await openLedger({ dir, create: true, policy: false, actor: testActor })
  const run_id = 'run_closed1'
  await ledger.runs.create({ run_id, run_kind: 'orchestrator' })
  await ledger.close()
  const { audit, exports, locks, runs, workspaces } = ledger
  const reads: Record<string, () => Promise<unknown>> = {
    'audit.list': () => audit.list(),
    'exports.get': () => exports.get({ run_id }),
    'locks.history': () => locks.history({ name: 'reports' }),
    'locks.list': () => locks.list(),
    'runs.list': () => runs.list(),
    'workspaces.check': () => workspaces.check({ run_id }),
    'workspaces.digest': () => workspaces.digest({ run_id }),
    'workspaces.stem': () => workspaces.stem({ run_id, stem: 'home' }),
    'workspaces.triplets': () => nextOf(workspaces.triplets({ run_id })),
  }
  for (const [name, read] of Object.entries(reads)) is((await refusalOf(read)).code, 'LEDGER_CLOSED', name)
  await endsWithVerify(dir)
})

closed.run()
