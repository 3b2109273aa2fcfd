// limit: 240
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { userActor } from '../../src/disk/user.ts'
import { configure } from '../support/scene.ts'
import {
  driverArguments,
  historyOf,
  isAlive,
  isGone,
  pidAfter,
  run,
  statusOf,
  tellsSignals,
  typesIn,
  until,
  untilRenewed,
  withOpen,
  withRoot,
} from './supervise.ts'

const supervise = suite('superviseUnderLock and its lease')

supervise('renews for as long as the command runs', () =>
  withRoot(async (dir) => {
    const ran = run(dir, tellsSignals, { lease_duration_s: 8 })
    const child = await pidAfter(ran, 'ready')
    // Four renewals at a third of the lease are more than the lease.
    await untilRenewed(dir, 4)
    is((await statusOf(dir)).state, 'held')
    process.kill(child, 'SIGUSR2')
    is(await ran.exit, 0)
    is((await historyOf(dir)).at(-1)?.data.late, undefined)
  }),
)

supervise('tries a renewal again while the ledger is busy', () =>
  withRoot(async (dir) => {
    // The polls of this test also keep the ledger busy, so the lease leaves time for several attempts.
    const ran = run(dir, tellsSignals, { lease_duration_s: 12, open_wait_s: 0 })
    const child = await pidAfter(ran, 'ready')
    await withOpen(dir, () => until('a renewal that failed', () => ran.err().includes('retrying for')))
    await untilRenewed(dir, 1)
    process.kill(child, 'SIGUSR2')
    is(await ran.exit, 0)
    equal(typesIn(await historyOf(dir)), ['lock.acquired', 'lock.released'])
  }),
)

supervise('ends the command at the safe deadline when the ledger is unavailable', () =>
  withRoot(async (dir) => {
    const ran = run(dir, tellsSignals.concat('--one'), { lease_duration_s: 1, open_wait_s: 30 })
    const child = await pidAfter(ran, 'ready')
    await withOpen(dir, () => isGone(child))
    is(await ran.exit, 76)
    match(ran.out(), /^SIGTERM$/m)
    match(ran.err(), /expired before it could be renewed/)
    const released = (await historyOf(dir)).at(-1)
    equal([released?.type, released?.data.outcome, released?.data.late], ['lock.released', 'failure', true])
  }),
)

const breakIt = (dir: string) =>
  withOpen(dir, (ledger) => ledger.locks.break({ name: 'resource:reports', reason: 'test', actor: userActor() }))

supervise('ends the child and all it started when the lock is broken, long before it is renewed', () =>
  withRoot(async (dir) => {
    const lost = "(setsid sh -c 'echo lost $$; exec sleep 100' &)"
    const script = `sleep 100 & echo near $!; setsid sleep 100 & echo far $!; ${lost}; echo ready $$; wait; echo next`
    const ran = run(dir, ['sh', '-c', script], { lease_duration_s: 3_000 })
    const pids: number[] = []
    for (const word of ['ready', 'near', 'far', 'lost']) pids.push(await pidAfter(ran, word))
    for (const pid of pids) ok(await isAlive(pid))
    await breakIt(dir)
    is(await ran.exit, 76)
    for (const pid of pids) is(await isAlive(pid), false)
    is(ran.out().includes('next'), false)
    match(ran.err(), /grant of resource:reports .*; ending the command and all processes it started$/m)
    equal(typesIn(await historyOf(dir)), ['lock.acquired', 'lock.broken'])
  }),
)

supervise('also ends processes that left the group and lost their parent after they were seen', () =>
  withRoot(async (dir) => {
    const between = 'setsid sleep 100 & echo far $!; echo between $$; wait'
    const ran = run(dir, ['sh', '-c', 'sh -c "$0" & wait; for i in 1 2 3; do sleep 30; done', between], {
      lease_duration_s: 3,
    })
    const [far, middle] = [await pidAfter(ran, 'far'), await pidAfter(ran, 'between')]
    await untilRenewed(dir, 1)
    process.kill(middle, 'SIGKILL')
    await isGone(middle)
    await breakIt(dir)
    is(await ran.exit, 76)
    is(await isAlive(far), false)
  }),
)

supervise('kills a command that ignores TERM when the grace period is over', () =>
  withRoot(async (dir) => {
    const deaf = '(trap "" TERM; exec setsid sleep 100) & echo deaf $!'
    const script = `trap "echo TERM" TERM; ${deaf}; echo ready $$; for i in 1 2 3; do sleep 30; done`
    const ran = run(dir, ['sh', '-c', script], { lease_duration_s: 3, graceMillis: 300 })
    const pids = [await pidAfter(ran, 'ready'), await pidAfter(ran, 'deaf')]
    await breakIt(dir)
    is(await ran.exit, 76)
    for (const pid of pids) is(await isAlive(pid), false)
    match(ran.out(), /^TERM$/m)
  }),
)

supervise('ends the processes of a wrapper that it runs', () =>
  withRoot(async (dir) => {
    const inner = "(setsid sh -c 'echo far $$; exec sleep 100' &); echo near $$; exec sleep 100"
    const below = [process.execPath, ...driverArguments(dir, ['sh', '-c', inner], { request: { name: 'inner' } })]
    const ran = run(dir, below, { lease_duration_s: 3_000 })
    const pids = [await pidAfter(ran, 'near'), await pidAfter(ran, 'far')]
    const { pids: ofInner = [] } = await statusOf(dir, 'resource:inner')
    await breakIt(dir)
    is(await ran.exit, 76)
    for (const pid of [...pids, ...ofInner]) is(await isAlive(pid), false)
  }),
)

/** A root with a deliverable folder, whose leases may be short. */
const withDeliverable = (work: (dir: string, folder: string) => Promise<void>) =>
  withRoot(async (dir) => {
    await configure(dir, { deliverable_lease_s: { min: 1 } })
    const folder = join(dir, 'DEL-08-05_Lock')
    mkdirSync(folder)
    await work(dir, folder)
  })

supervise('holds the lock of a deliverable and its file', () =>
  withDeliverable(async (dir, folder) => {
    const ran = run(dir, ['cat', join(folder, '.lock')], { request: { folder } })
    is(await ran.exit, 0)
    is(JSON.parse(ran.out()).holder, 'TASK')
    is(existsSync(join(folder, '.lock')), false)
    equal(typesIn(await historyOf(dir, 'deliverable:DEL-08-05')), ['lock.acquired', 'lock.released'])
  }),
)

supervise('puts the lock file back when it was deleted, long before it is renewed, and the command goes on', () =>
  withDeliverable(async (dir, folder) => {
    const script = 'rm "$0/.lock"; until [ -e "$0/.lock" ]; do sleep 0.1; done; sleep 1; [ -e "$0/.lock" ]'
    const ran = run(dir, ['sh', '-c', script, folder], { request: { folder } })
    is(await ran.exit, 0)
    // The command may end before the renewal that put the file back is appended.
    const types = typesIn(await historyOf(dir, 'deliverable:DEL-08-05')).filter((type) => type !== 'lock.renewed')
    equal(types, ['lock.acquired', 'lock.file_restored', 'lock.released'])
  }),
)

supervise('ends the command when the lock file was taken away from it, long before it is renewed', () =>
  withDeliverable(async (dir, folder) => {
    const ran = run(dir, tellsSignals.concat('--one'), { request: { folder } })
    await pidAfter(ran, 'ready')
    rmSync(join(folder, '.lock'))
    writeFileSync(join(folder, '.lock'), '{}')
    is(await ran.exit, 76)
    match(ran.out(), /^SIGTERM$/m)
    equal(typesIn(await historyOf(dir, 'deliverable:DEL-08-05')), ['lock.acquired', 'lock.lost'])
  }),
)

supervise('exits with 76 if only the release finds that the lease was lost, and ends what still runs', () =>
  withDeliverable(async (dir, folder) => {
    const script = 'rm "$0/.lock" && echo "{}" > "$0/.lock"; sleep 100 & echo left $!'
    const ran = run(dir, ['sh', '-c', script, folder], { request: { folder }, survivors: 'ignore' })
    is(await ran.exit, 76)
    is(await isAlive(await pidAfter(ran, 'left')), false)
    equal(typesIn(await historyOf(dir, 'deliverable:DEL-08-05')), ['lock.acquired', 'lock.lost'])
  }),
)

supervise.run()
