import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { until } from '../ledger/stage.ts'
import { root as project } from '../runner.ts'
import { openWithCaseWork } from '../support/case-work.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const killed = suite('lockstep export create')
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')
const entries = 600
const words = (file: string) => [
  ...['export', 'create', '--range', `0..${entries - 1}`, '--out', file],
  ...['--lane', 'EXPORT_CASE_DATA', '--role', 'ATTORNEY_ADMIN', '--scope', 'case_id=CASE-17', '--reason', 'asked for'],
]

async function ledgerOf(size: number): Promise<string> {
  const root = temporaryRoot()
  const ledger = await openWithCaseWork({ dir: root, actor: testActor })
  const event = { action_type: 'system', outcome: 'success' } as const
  await ledger.audit.append({ events: Array.from({ length: size - (await ledger.head.get()).size }, () => event) })
  await ledger.close()
  return root
}

/** Starts an export that stops itself in the middle of its writing, and resolves once it has stopped. */
async function writing(root: string, file: string) {
  const preload = pathToFileURL(join(project, 'test/support/stop-at-proofs.mjs')).href
  const argv = ['--import', preload, main, '--dir', root, ...words(file)]
  const child = spawn(process.execPath, argv, { stdio: 'ignore' })
  const exited = once(child, 'exit')
  // Its file of proofs is there before it stops: a SIGCONT sent in between would be lost, and the export never end.
  await until('it has stopped', () => stateOf(child.pid).startsWith('T'))
  return { child, exited }
}

/** The state of a process as `ps` shows it; empty once it has ended. */
function stateOf(pid: number | undefined): string {
  return spawnSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim()
}

/** How many entries a bundle proves. */
async function provenIn(file: string): Promise<unknown> {
  const { json } = await lockstep(['export', 'verify', file, '--unauthenticated'])
  return (json.proven as { entries: number }).entries
}

killed('that is killed leaves a run that fails at the next command, and no file', async () => {
  const [root, folder] = [await ledgerOf(entries), temporaryRoot()]
  const file = join(folder, 'bundle.tar.gz')
  // Of somebody, and of another export that may be at work.
  mkdirSync(`${file}.tmp`)
  writeFileSync(join(folder, '.lockstep-export-other.tmp'), '')
  for (const signal of ['SIGKILL', 'SIGINT'] as const) {
    const { child, exited } = await writing(root, file)
    child.kill(signal)
    child.kill('SIGCONT')
    equal(await exited, [null, signal])
    const { json } = await lockstep(['--dir', root, 'run', 'list', '--kind', 'export'])
    const statuses = (json.runs as { status: string }[]).map(({ status }) => status)
    equal(new Set(statuses), new Set(['failed']), signal)
    equal(readdirSync(folder).sort(), ['.lockstep-export-other.tmp', 'bundle.tar.gz.tmp'])
    equal(readdirSync(join(root, '.lockstep/snapshots')), [])
  }
  is((await lockstep(['--dir', root, ...words(file)])).status, 0)
  is(await provenIn(file), entries)
  equal((await endsWithVerify(root)).warnings, [])
})

killed('holds the ledger only before and after it writes', async () => {
  const [root, folder] = [await ledgerOf(entries), temporaryRoot()]
  const file = join(folder, 'bundle.tar.gz')
  const { child, exited } = await writing(root, file)
  // It cannot be waited for, so the ledger is free or this fails at once.
  const acquired = await lockstep(['--dir', root, '--open-wait', '0', 'lock', 'acquire', 'a', '--holder', 'a'])
  is(acquired.status, 0, acquired.stdout)
  child.kill('SIGCONT')
  equal(await exited, [0, null])
  is(await provenIn(file), entries)
  await endsWithVerify(root)
})

killed.run()
