// limit: 240
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { userActor } from '../../src/disk/user.ts'
import { openLedger } from '../../src/open.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'

const orphans = suite('dead runs, for people')

orphans('a dead run is listed, explained and recovered; a living one is refused', async () => {
  const root = temporaryRoot()
  const run_id = 'run_work1'
  const ledger = await openLedger({ actor: userActor(), create: true, dir: root })
  await ledger.runs.create({ run_id, run_kind: 'orchestrator' })
  await ledger.close()
  const call = (...words: string[]) => lockstep(['--dir', root, 'run', ...words], { isForPeople: true })
  const child = spawn('sleep', ['100'])
  await once(child, 'spawn')
  is((await call('start', run_id, '--pid', String(child.pid))).status, 0)
  const alive = await call('recover', run_id, '--reason', 'gone')
  equal([alive.status, alive.stderr.includes('RUN_NOT_ORPHAN')], [5, true], alive.stderr)
  child.kill('SIGKILL')
  await once(child, 'exit')
  match((await call('list', '--orphans')).stdout, /run_work1 +orchestrator +running, process dead/)
  match((await call('why', run_id)).stdout, new RegExp(`processes ${child.pid} on .*: dead`))
  const recovered = await call('recover', run_id, '--reason', 'gone')
  is(recovered.status, 0, recovered.stderr)
  match(recovered.stdout, /RUN_ORPHANED: .* \(retryable\)/)
  is((await call('list', '--orphans')).stdout, 'no runs\n')
  await endsWithVerify(root)
})

orphans.run()
