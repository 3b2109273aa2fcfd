// limit: 240
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { stateOf } from '../../src/supervise/process-list.ts'
import { historyOf, isAlive, isGone, pidAfter, run, typesIn, until, untilRenewed, withRoot } from './supervise.ts'

const supervise = suite('superviseUnderLock and processes that are hard to reach')
const isLinux = process.platform === 'linux'

supervise('when killed, leaves the guard to end a process that cleared its environment in its own session', () =>
  withRoot(async (dir) => {
    if (!isLinux) return
    const deaf = `trap '' TERM; echo deaf $$; exec sleep 100`
    const script = `env -i "$(command -v setsid)" -w "$(command -v sh)" -c "$0" & wait`
    const path = deaf.replace('exec sleep', 'PATH=/usr/bin:/bin; exec sleep')
    const ran = run(dir, ['sh', '-c', script, path], { graceMillis: 300 })
    const deafPid = await pidAfter(ran, 'deaf')
    ran.process.kill('SIGKILL')
    await isGone(deafPid)
  }),
)

supervise('when killed, leaves the guard to end a process that was seen before it lost its parent', () =>
  withRoot(async (dir) => {
    if (!isLinux) return
    const between = 'env -i "$(command -v setsid)" "$(command -v sleep)" 100 & echo far $!; echo between $$; wait'
    const ran = run(dir, ['sh', '-c', 'sh -c "$0" & wait; for i in 1 2 3; do sleep 30; done', between], {
      graceMillis: 300,
      lease_duration_s: 3,
    })
    const [middle, left] = [await pidAfter(ran, 'between'), await pidAfter(ran, 'far')]
    await untilRenewed(dir, 1)
    process.kill(middle, 'SIGKILL')
    await isGone(middle)
    is(await isAlive(left), true)
    ran.process.kill('SIGKILL')
    await isGone(left)
  }),
)

supervise('ends a command that a signal has stopped', () =>
  withRoot(async (dir) => {
    if (!isLinux) return
    const ran = run(dir, ['sh', '-c', 'echo ready $$; kill -STOP $$; sleep 100'])
    const child = await pidAfter(ran, 'ready')
    await until('a stopped command', () => stateOf(child) === 'T')
    ran.process.kill('SIGTERM')
    is(await ran.exit, 143)
    equal(typesIn(await historyOf(dir)), ['lock.acquired', 'lock.released'])
  }),
)

supervise.run()
