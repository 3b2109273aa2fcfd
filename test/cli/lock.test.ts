// limit: 120
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { type Ended, lockstep } from '../support/command.ts'
import { contentionFields, contentOf, deadPid, makeDeliverable, startHolder } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { put } from '../support/scene.ts'

const target = 'IAMBECCA | ACME | SITE | web-shop | NEO'
const run_id = 'run_ACME_web-shop_2026-02-02_001'

interface Fleet {
  root: string
  path: string
  lock: string
  /** The command in the root, with its answer in `json`. */
  run: (...words: string[]) => Promise<Ended>
}

const command = suite('lockstep lock')

/** A test of the command over a root of its own; its ledger is verified at the end. */
function commands(title: string, work: (fleet: Fleet) => Promise<void>): void {
  command(title, async () => {
    const root = temporaryRoot()
    await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
    const { path, lock } = makeDeliverable(root)
    const run = (...words: string[]) => lockstep(['--dir', root, '--actor', 'agent-1', ...words])
    await work({ root, path, lock, run })
    await endsWithVerify(root)
  })
}

commands('acquire --folder requires --pid and says how to pass it; nothing changes', async ({ path, run }) => {
  const before = contentOf(path)
  const refused = await run('lock', 'acquire', '--folder', path, '--holder', 'TASK')
  equal([refused.status, refused.json.code], [2, 'INVALID_INPUT'], refused.stdout)
  match(String(refused.json.hint), 'in a script --pid $$')
  match(String(refused.json.hint), 'where each command has a shell of its own --pid $PPID')
  match(String(refused.json.hint), 'lockstep lock run --folder')
  equal(contentOf(path), before)
  const gone = await run('lock', 'acquire', '--folder', path, '--holder', 'TASK', '--pid', String(deadPid()))
  equal([gone.status, gone.json.code], [2, 'PID_NOT_FOUND'], gone.stdout)
  equal(contentOf(path), before)
})

commands('acquire of a resource without --pid: the lock ends with its lease, not with the command', async ({ run }) => {
  is((await run('lock', 'acquire', 'reports', '--holder', 'TASK')).status, 0)
  const { json } = await run('lock', 'status', 'reports')
  equal([json.state, json.holder_alive, json.pids], ['held', 'unknown', []])
  is((await run('lock', 'acquire', 'reports', '--holder', 'other')).status, 75)
  const holder = startHolder()
  is((await run('lock', 'acquire', 'builds', '--holder', 'TASK', '--pid', String(holder.pid))).status, 0)
  await holder.kill()
  is((await run('lock', 'acquire', 'builds', '--holder', 'other')).status, 0)
})

commands('contention is exit 75 and the whole report as one document (REQ-LOCK-007)', async ({ path, run }) => {
  const words = ['lock', 'acquire', '--folder', path, '--pid', String(process.pid), '--lease', '15m']
  const held = await run(...words, '--holder', 'agent-1')
  const { json, status, stdout } = await run(...words, '--holder', 'agent-2')
  is(status, 75, stdout)
  for (const field of contentionFields) ok(field in json, field)
  equal([json.code, json.deliverable_id, json.holder], ['LOCK_CONTENTION', 'DEL-08-05', 'agent-1'])
  equal([json.token, json.pid, json.holder_alive], [held.json.token, process.pid, 'yes'])
  ok(Number.isInteger(json.lease_remaining_s) && Number(json.lease_remaining_s) <= 900)
  is(stdout.trim().split('\n').length, 1)
})

commands(
  'recover --dry-run prints the evidence and the verdict; recover works only on orphans',
  async ({ lock, path, run }) => {
    const holder = startHolder()
    const acquired = await run('lock', 'acquire', '--folder', path, '--holder', 'TASK', '--pid', String(holder.pid))
    const recover = ['lock', 'recover', 'deliverable:DEL-08-05', '--reason', 'agent crashed']
    const alive = await run(...recover, '--dry-run')
    equal([alive.status, alive.json.recovery_reason, alive.json.seq], [0, null, null], alive.stdout)
    equal((await run(...recover)).json.code, 'LOCK_NOT_ORPHAN')
    await holder.kill()
    const before = readFileSync(lock, 'utf8')
    const dead = await run(...recover, '--dry-run')
    equal([dead.json.dry_run, dead.json.recovery_reason, dead.json.previous_holder], [true, 'pid_dead', 'TASK'])
    is(readFileSync(lock, 'utf8'), before)
    const { json, status } = await run(...recover)
    equal([status, json.recovery_reason, json.previous_token], [0, 'pid_dead', acquired.json.token])
    is(existsSync(lock), false)
  },
)

commands('break shows what it breaks, and is denied to callers without the right', async ({ lock, path, run }) => {
  const acquired = await run('lock', 'acquire', '--folder', path, '--holder', 'TASK', '--pid', String(process.pid))
  const words = ['lock', 'break', 'deliverable:DEL-08-05', '--reason', 'hangs']
  const denied = await run(...words)
  equal([denied.status, denied.json.code], [4, 'RELEASE_DENIED'], denied.stdout)
  ok(existsSync(lock))
  const { json, status } = await run('--actor', 'BECCA', ...words)
  equal([status, json.previous_holder, json.previous_token], [0, 'TASK', acquired.json.token])
  is(existsSync(lock), false)
})

commands('check exits with 0 for the run that holds the target, and with 5 otherwise', async ({ root, run }) => {
  const check = ['lock', 'check', '--run-id', run_id, '--target', target]
  const before = await run(...check)
  equal([before.status, before.json.code], [5, 'LOCK_CHECK_FAILED'], before.stdout)
  is((await run('lock', 'acquire', '--target', target, '--run-id', run_id)).status, 0)
  const { json, status, stdout } = await run(...check)
  equal([status, json.run_id, json.target_name], [0, run_id, target])
  is(stdout.trim().split('\n').length, 1)
  is((await run('lock', 'check', '--run-id', run_id, '--target', target.replace('NEO', 'TRINITY'))).status, 5)
  const released = await run('--actor', 'BECCA', 'lock', 'release', '--run-id', run_id, '--final-status', 'COMPLETE')
  equal([released.status, released.json.files], [0, 'current'], released.stdout)
  is((await run(...check)).status, 5)
  const file = JSON.parse(readFileSync(join(root, 'runtime/runs', run_id, 'RUN_LOCK.json'), 'utf8'))
  equal([file.status, file.released_by], ['RELEASED', 'BECCA (VERIFICATION)'])
})

commands(
  'the holder under lock run is the wrapper, the child and the guard; the lock is free once they end',
  async ({ path, run, lock }) => {
    const show = "const {readFileSync} = require('node:fs'); console.log(readFileSync('.lock', 'utf8'))"
    const ran = await lockstepIn(path, ['lock', 'run', '--folder', '.', '--', process.execPath, '-e', show, '--'])
    is(ran.status, 0, ran.stderr)
    const { evidence, holder, pid } = JSON.parse(ran.stdout)
    equal([evidence[0].pid, typeof holder], [pid, 'string'])
    is(new Set(evidence.map((of: { pid: number }) => of.pid)).size, 3)
    is(existsSync(lock), false)
    const { json } = await run('lock', 'history', 'deliverable:DEL-08-05')
    equal(
      (json.entries as { type: string }[]).map(({ type }) => type),
      ['lock.released', 'lock.acquired'],
    )
  },
)

commands('import --all takes over each file it can, and names those it cannot', async ({ root, run }) => {
  const file = (id: string, more: Record<string, unknown>) => {
    const seven = {
      status: 'LOCKED',
      target_name: target,
      run_id: id,
      lock_owner: id,
      lock_time: '2026-02-02T12:00:00Z',
      lock_reason: 'P0_INVENTORY initialization',
      release_conditions: ['state == COMPLETE'],
    }
    return put(root, `runtime/runs/${id}/RUN_LOCK.json`, JSON.stringify({ ...seven, ...more }))
  }
  const strange = file('RUN-16', { target_name: 'somewhere' })
  const legacy = file('RUN-17', {})
  const { json, status, stdout } = await run('lock', 'import', '--all')
  equal([status, json.imported], [2, [{ file: legacy, seq: 1, type: 'lock.acquired' }]], stdout)
  equal(
    (json.refused as { file: string; code: string }[]).map((refused) => [refused.file, refused.code]),
    [[strange, 'INVALID_INPUT']],
  )
  is((await run('lock', 'import', strange)).json.code, 'INVALID_INPUT')
  is((await run('--actor', 'BECCA', 'lock', 'import', '--set-aside', strange, '--reason', 'lost')).status, 0)
  const again = await run('lock', 'import', '--all')
  equal([again.status, again.json], [0, { imported: [], refused: [] }], again.stdout)
})

/** The command as a person in that folder runs it: without --json. */
async function lockstepIn(cwd: string, words: string[]): Promise<Ended> {
  return lockstep(words, { cwd })
}

command.run()
