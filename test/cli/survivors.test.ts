import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { userActor } from '../../src/disk/user.ts'
import {
  historyOf,
  isAlive,
  isGone,
  type Options,
  pidAfter,
  type Run,
  run,
  statusOf,
  typesIn,
  until,
  withOpen,
  withRoot,
} from './supervise.ts'

const survivors = suite('processes that a command leaves running')

const leaves = 'setsid sleep 100 & echo left $!; exit 3'
const leavesDeaf = `trap '' TERM; setsid sleep 100 & echo left $!; exit 3`

/** A wrapper whose command leaves one process, which has ended at the end of the test. */
function leaving(
  title: string,
  { script, ...options }: Options & { script: string },
  work: (at: { dir: string; left: number; ran: Run }) => Promise<void>,
): void {
  survivors(title, () =>
    withRoot(async (dir) => {
      const ran = run(dir, ['sh', '-c', script], options)
      const left = await pidAfter(ran, 'left')
      await work({ dir, left, ran })
      is(await isAlive(left), false)
    }),
  )
}

const untilNamed = (ran: Run, left: number) =>
  until('the name of it', () => ran.err().includes(`left processes running`) && ran.err().includes(`${left} (sleep)`))

leaving('are named and waited for, with the lock held', { script: leaves }, async ({ dir, left, ran }) => {
  await untilNamed(ran, left)
  equal([(await statusOf(dir)).state, await isAlive(left)], ['held', true])
  process.kill(left, 'SIGTERM')
  is(await ran.exit, 3)
  equal(typesIn(await historyOf(dir)), ['lock.acquired', 'lock.released'])
})

leaving(
  'are ended when the lease is over, which is not renewed for them; the exit code is that of the command',
  { script: leavesDeaf, lease_duration_s: 4 },
  async ({ dir, left, ran }) => {
    is(await ran.exit, 3)
    is(await isAlive(left), false, 'not even a moment later')
    equal(typesIn(await historyOf(dir)), ['lock.acquired', 'lock.released'])
    is(
      (await historyOf(dir)).some(({ type }) => type === 'lock.renewed'),
      false,
    )
  },
)

leaving(
  'are ended at once if requested',
  { script: leavesDeaf, graceMillis: 300, survivors: 'kill' },
  async ({ dir, ran }) => {
    is(await ran.exit, 3)
    equal(typesIn(await historyOf(dir)), ['lock.acquired', 'lock.released'])
  },
)

leaving('are left alone if requested', { script: leaves, survivors: 'ignore' }, async ({ dir, left, ran }) => {
  is(await ran.exit, 3)
  equal([(await statusOf(dir)).state, await isAlive(left)], ['free', true])
  process.kill(left, 'SIGTERM')
  await isGone(left)
})

leaving('are ended by a signal to the wrapper', { script: leaves }, async ({ dir, left, ran }) => {
  await untilNamed(ran, left)
  ran.process.kill('SIGTERM')
  is(await ran.exit, 3)
  equal(typesIn(await historyOf(dir)), ['lock.acquired', 'lock.released'])
})

leaving(
  'are ended when the lock is broken, and the lease is reported as lost',
  { script: leaves },
  async ({ dir, left, ran }) => {
    await untilNamed(ran, left)
    await withOpen(dir, (ledger) =>
      ledger.locks.break({ name: 'resource:reports', reason: 'test', actor: userActor() }),
    )
    is(await ran.exit, 76)
    match(ran.err(), /has ended; ending them/)
  },
)

leaving(
  'are ended by the guard when the wrapper is killed',
  { script: leavesDeaf, graceMillis: 300 },
  async ({ left, ran }) => {
    await untilNamed(ran, left)
    ran.process.kill('SIGKILL')
    await isGone(left)
  },
)

survivors('are not mentioned if they end by themselves within a moment', () =>
  withRoot(async (dir) => {
    const ran = run(dir, ['sh', '-c', 'sleep 0.05 & exit 3'])
    is(await ran.exit, 3)
    is(ran.err(), '')
  }),
)

survivors.run()
