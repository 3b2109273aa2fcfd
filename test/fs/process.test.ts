import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { evidenceOf, isRunning, leaseClock, now, probeHolder, thisMachine } from '../../src/disk/process.ts'
import type { Evidence } from '../../src/domain/lock/liveness.ts'
import { deadPid, refusalOf, startHolder } from '../support/deliverable.ts'

const processes = suite('processes')

const probe = (evidence: Evidence) => probeHolder([evidence], Date.now())

processes('a running process is running, a dead one is not, and another user’s is (EPERM)', () => {
  is(isRunning(process.pid), true)
  is(isRunning(deadPid()), false)
  is(isRunning(1), true)
})

processes('a number outside the range of pids is not a process', () => {
  for (const pid of [0, -1, -process.pid, 2 ** 31, 2 ** 32 + 1, 2 ** 53, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    is(isRunning(pid), false, String(pid))
  }
})

processes('evidence has the host, boot, pid namespace, pid and start time of an existing process', () => {
  const evidence = evidenceOf(process.pid)
  const { boot_id, host, host_id, pid_ns, time_ns } = thisMachine()
  const { start_time } = evidence
  equal(evidence, { boot_id, host, host_id, pid: process.pid, pid_ns, start_time, ...(time_ns && { time_ns }) })
  ok(evidence.start_time !== null && evidence.start_time !== '')
  ok(/^[0-9a-f]{32}$/.test(host_id), 'a digest, not the machine id itself')
  equal(probe(evidence), { alive: 'yes' })
})

processes('a process that cannot be seen is PID_NOT_FOUND, a zombie as well', async () => {
  is((await refusalOf(() => evidenceOf(deadPid()))).code, 'PID_NOT_FOUND')
  const parent = spawn('sh', ['-c', 'sleep 0.2 & echo $!; exec sleep 60'])
  try {
    const [chunk] = (await once(parent.stdout, 'data')) as [Buffer]
    const zombie = Number(chunk.toString().trim())
    await until(() => stateOf(zombie) === 'Z')
    is(isRunning(zombie), true)
    is((await refusalOf(() => evidenceOf(zombie))).code, 'PID_NOT_FOUND')
  } finally {
    parent.kill('SIGKILL')
  }
})

processes('a holder that was killed is dead, and so is one that left a zombie', async () => {
  const holder = startHolder()
  const evidence = evidenceOf(holder.pid)
  equal(probe(evidence), { alive: 'yes' })
  await holder.kill()
  equal(probe(evidence), { alive: 'no', reason: 'pid_dead' })
})

processes('a pid that another process reuses is dead, by its start time', () => {
  const evidence = { ...evidenceOf(process.pid), start_time: '1' }
  equal(probe(evidence), { alive: 'no', reason: 'pid_dead' })
})

processes('another host, pid namespace or boot id gives "unknown" while the process exists', () => {
  const evidence = evidenceOf(process.pid)
  equal(probe({ ...evidence, host_id: 'elsewhere' }), { alive: 'unknown' })
  equal(probe({ ...evidence, pid_ns: 'pid:[1]' }), { alive: 'unknown' })
  equal(probe({ ...evidence, boot_id: 'before' }), { alive: 'unknown' })
})

processes('the lease clock counts from boot and never runs backwards', () => {
  const first = leaseClock()
  const uptimeMillis = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000
  const second = now().lease_clock
  is(first.boot_id, thisMachine().boot_id)
  ok(first.boot_ms <= second.boot_ms)
  ok(Math.abs(second.boot_ms - uptimeMillis) < 5_000)
  ok((first.monotonic_ms ?? 0) <= (second.monotonic_ms ?? 0))
  ok((second.monotonic_ms ?? 0) <= second.boot_ms + 1_000, 'only suspend comes on top of it')
  is(second.time_ns ?? null, thisMachine().time_ns)
})

function stateOf(pid: number): string {
  return spawnSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' })
    .stdout.trim()
    .slice(0, 1)
}

async function until(isTrue: () => boolean): Promise<void> {
  const end = performance.now() + 60_000
  while (!isTrue()) {
    if (performance.now() > end) throw new Error('it did not become so within 60 s')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

processes.run()
