import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import type { Layout } from '../../src/disk/layout.ts'
import { lockstep } from '../support/command.ts'
import { copyOfCrashed, crashedLedger } from '../support/crashed.ts'
import { closedLedger, openOnce, size } from '../support/opening.ts'

const hints = suite('a file that is only a hint')

for (const [what, put] of [
  ['a folder', (path: string) => mkdirSync(join(path, 'with', 'more'), { recursive: true })],
  ['a link to itself', (path: string) => symlinkSync(path, path)],
  ['a link to nowhere', (path: string) => symlinkSync(`${path}/nowhere`, path)],
  ['not to be read', (path: string) => writeFileSync(path, '{}', { mode: 0o000 })],
] as const) {
  hints(`(the owner file) never blocks an open: it is ${what}`, async () => {
    const layout = await closedLedger()
    rmSync(layout.owner)
    put(layout.owner)
    is(await openOnce(layout), size)
    is(await openOnce(layout), size)
  })
}

const few = suite('few descriptors')
const crashed = await crashedLedger(5)
const canLimit = spawnSync('prlimit', ['--nofile=64', 'true']).status === 0
if (!canLimit) console.log('prlimit is not here: no process is kept to few descriptors')

const acquire = ({ root }: Layout, descriptors: number) =>
  lockstep(['--dir', root, 'lock', 'acquire', 'reports', '--holder', 'another'], {
    wrapper: ['prlimit', `--nofile=${descriptors}`],
  })

few('are enough to open a ledger after a crash', async () => {
  if (!canLimit) return
  for (const descriptors of [100, 64]) {
    const { json, status } = await acquire(copyOfCrashed(crashed), descriptors)
    equal([status, json.code, json.token], [75, 'LOCK_CONTENTION', crashed.token], JSON.stringify(json))
  }
})

few('are reported if they are too few, and nothing is lost', async () => {
  if (!canLimit) return
  const layout = copyOfCrashed(crashed)
  let said = 0
  for (let descriptors = 28; descriptors >= 20; descriptors -= 2) {
    const { json, status, stderr } = await acquire(layout, descriptors)
    if (status === 75) continue
    // Node itself does not start with fewer than these.
    if (json.code === undefined) {
      match(stderr, 'EMFILE')
      continue
    }
    equal([status, json.code, json.outcome, json.system_code], [7, 'LEDGER_UNAVAILABLE', 'not_applied', 'EMFILE'])
    match(String(json.hint), 'ulimit -n')
    said += 1
  }
  ok(said > 0)
  const { json } = await acquire(layout, 1_000)
  equal([json.code, json.token], ['LOCK_CONTENTION', crashed.token])
})

few('are enough for the check child, which is built as one file', () => {
  for (const name of [
    'log/level/open/open-check-child.cjs',
    'log/level/repair/examine-child.cjs',
    'verify/verify-child.cjs',
    'backup/salvage-child.cjs',
  ]) {
    ok(existsSync(join(process.env.LOCKSTEP_TEST_DIST ?? 'dist', name)), name)
  }
})

hints.run()
few.run()
