import { writeFileSync } from 'node:fs'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { evidenceOf, thisMachine } from '../../src/disk/process.ts'
import { isInitialPidNamespace } from '../../src/domain/lock/liveness.ts'
import { deadPid, foreignText, refusalOf } from '../support/deliverable.ts'
import { lastOf } from '../support/entries.ts'
import { scene } from '../support/scene.ts'

// The lock files of other ledgers and tools. Their process is looked up only where its number means what it says.

const files = suite('the evidence in a lock file that is not ours')
const { pid_ns } = thisMachine()
const isInitial = isInitialPidNamespace(pid_ns)
if (!isInitial) console.log('foreign-evidence: in a pid namespace of its own, where a bare pid says nothing')

const gone = () => ({ ...evidenceOf(process.pid), pid: deadPid() })

for (const [title, facts, expected] of [
  ['of a dead process here', () => [gone()], 'pid_dead'],
  ['of a dead process in another pid namespace', () => [{ ...gone(), pid_ns: 'pid:[4026532999]' }], 'unknown'],
  [
    'of a dead process in an unknown pid namespace',
    () => [{ ...gone(), pid_ns: null }],
    isInitial ? 'pid_dead' : 'unknown',
  ],
  ['of a dead process on another host', () => [{ ...gone(), host_id: '0'.repeat(32) }], 'unknown'],
  ['of a dead process in an unknown boot', () => [{ ...gone(), boot_id: null }], 'pid_dead'],
  ['of two processes, one of them alive', () => [gone(), evidenceOf(process.pid)], 'yes'],
  ['missing, and its bare pid is dead', () => undefined, isInitial ? 'pid_dead' : 'unknown'],
  ['empty, and its bare pid is dead', () => [], isInitial ? 'pid_dead' : 'unknown'],
] as const) {
  files(
    `a file whose evidence is ${title}: ${expected}`,
    scene(async ({ ledger, acquire, clock, lock }) => {
      const acquired = new Date(clock.now().wall_ms).toISOString()
      writeFileSync(lock, foreignText({ acquired, lease_duration_s: 600, pid: deadPid(), evidence: facts() }))
      if (expected === 'pid_dead') {
        await acquire()
        is((await lastOf(ledger, 'lock.recovered')).data.recovery_reason, 'pid_dead')
        return
      }
      const { code, details } = await refusalOf(acquire())
      equal([code, details.holder, details.holder_alive], ['LOCK_CONTENTION', 'foreign-tool', expected])
      clock.advance(600_000)
      await acquire()
      is((await lastOf(ledger, 'lock.recovered')).data.recovery_reason, 'lease_expired')
    }),
  )
}

files.run()
