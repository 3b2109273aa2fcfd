import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { is, ok } from 'uvu/assert'
import { userActor } from '../../src/disk/user.ts'
import { hold } from '../../src/lease.ts'
import { type Run, run, until, withOpen, withRoot } from '../cli/supervise.ts'
import { root as projectRoot } from '../runner.ts'

const race = suite('two writers under lock run')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
const writesOn = join(projectRoot, 'fixtures/supervise/writes-on.sh')
const held = { graceMillis: 1_000, lease_duration_s: 4, open_wait_s: 30 }

/** How the first loses its lock while the second waits for it. */
const losses: { [how: string]: (dir: string, first: Run) => Promise<unknown> | unknown } = {
  'is killed': (_dir, first) => first.process.kill('SIGKILL'),
  'is stopped': (_dir, first) => first.process.kill('SIGSTOP'),
  'has its lock broken': (dir) =>
    withOpen(dir, (ledger) => ledger.locks.break({ name: 'resource:reports', reason: 'test', actor: userActor() })),
}

/** In milliseconds; the file has nanoseconds. */
const timesIn = (file: string) =>
  readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => Number(line) / 1e6)

/** A first writer at work with all that it started. */
async function atWork(dir: string): Promise<{ first: Run; file: string }> {
  const file = join(dir, 'first')
  const first = run(dir, ['sh', writesOn, file], held)
  await until('the first at work', () => existsSync(file) && timesIn(file).length > 4)
  return { first, file }
}

async function apart(how: string, lose: (dir: string, first: Run) => unknown): Promise<void> {
  await withRoot(async (dir) => {
    const { first, file } = await atWork(dir)
    const other = join(dir, 'second')
    const second = run(dir, ['sh', '-c', 'date +%s%N >"$0"', other], { ...held, wait_s: 60 })
    await lose(dir, first)
    is(await second.exit, 0, `${how}: ${second.err()}`)
    const gap = (timesIn(other)[0] ?? 0) - Math.max(...timesIn(file))
    ok(gap > 0, `it ${how}, and both wrote: the first for ${-gap} ms after the second had begun`)
    first.process.kill('SIGCONT')
    is(await first.exit, how === 'is killed' ? 'SIGKILL' : 76)
  })
}

/** The second holds the ledger itself, which is why the first cannot renew. */
async function apartFromResident(): Promise<void> {
  await withRoot(async (dir) => {
    const { first, file } = await atWork(dir)
    const granted = await withOpen(dir, async (ledger) => {
      const lease = await hold(ledger, { name: 'reports', holder: 'second', wait_s: 60 })
      const at = Date.now()
      await lease.release()
      return at
    })
    is(await first.exit, 76)
    ok(granted > Math.max(...timesIn(file)), 'the first wrote after the second had the lock')
  })
}

race(`are never at work at once, however the first loses its lock (${rounds} rounds)`, async () => {
  if (process.platform !== 'linux') return
  for (let round = 0; round < rounds; round += 1) {
    await Promise.all([apartFromResident(), ...Object.entries(losses).map(([how, lose]) => apart(how, lose))])
  }
})

race.run()
