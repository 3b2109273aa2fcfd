import { writeFileSync } from 'node:fs'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { evidenceOf, thisMachine } from '../../src/disk/process.ts'
import { isInitialPidNamespace } from '../../src/domain/lock/liveness.ts'
import { deadPid, foreignText, refusalOf } from '../support/deliverable.ts'
import { lastOf } from '../support/entries.ts'
import { scene } from '../support/scene.ts'

// The clock of a scene stands at 2026-01-02T03:04:05Z, and the lease of a foreign file is half an hour.

const times = suite('the lease of another tool’s file elapses from its acquired time (REQ-LOCK-006)')

const bom = '\ufeff'
for (const [what, acquired, mark] of [
  ['no zone, which is UTC', '2026-01-02T02:34:05', ''],
  ['the offset +0000', '2026-01-02T02:34:05+0000', ''],
  ['the basic form', '20260102T023405Z', ''],
  ['minutes only', '2026-01-02T02:34', ''],
  ['a byte order mark', '2026-01-02T02:34:05Z', bom],
] as const) {
  times(
    `${what}: over after half an hour, and held a moment before`,
    scene(async ({ acquire, clock, ledger, lock }) => {
      writeFileSync(lock, mark + foreignText({ acquired }))
      if (acquired !== '2026-01-02T02:34') {
        clock.advance(-1)
        const { code, details } = await refusalOf(acquire())
        equal([code, details.holder, details.lease_remaining_s], ['LOCK_CONTENTION', 'foreign-tool', 1])
        equal(details.acquired, '2026-01-02T02:34:05.000Z')
        clock.advance(1)
      }
      await acquire()
      is((await lastOf(ledger, 'lock.recovered')).data.recovery_reason, 'lease_expired')
    }),
  )
}

times(
  'a byte order mark does not hide an unknown major version',
  scene(async ({ acquire, lock }) => {
    writeFileSync(lock, bom + foreignText({ schema_version: '2.0' }))
    const { code, message } = await refusalOf(acquire())
    is(code, 'LOCK_CONTENTION')
    is(message.includes('schema version 2.0 is unknown'), true, message)
  }),
)

times.run()

const pids = suite('a dead pid alone is enough where its namespace is ours (REQ-LOCK-006, ADR 0059)')
const acquired = '2026-01-02T03:04:00Z'
const { pid_ns } = thisMachine()
const isInitial = isInitialPidNamespace(pid_ns)
const own = { ...evidenceOf(process.pid) }
const elsewhere = 'pid:[1]'

for (const [what, facts, expected] of [
  ['records our namespace', { pid_ns }, 'dead'],
  ['records another namespace', { pid_ns: elsewhere }, 'held'],
  ['records none', {}, isInitial ? 'dead' : 'held'],
  ['records none that can be read', { pid_ns: 7 }, isInitial ? 'dead' : 'held'],
  ['has evidence of our namespace and boot', { evidence: [own] }, 'dead'],
  ['has evidence of our namespace and an unknown boot', { evidence: [{ ...own, boot_id: null }] }, 'dead'],
  ['has evidence of no namespace', { evidence: [{ ...own, pid_ns: null }] }, isInitial ? 'dead' : 'held'],
  ['has evidence of another namespace', { evidence: [{ ...own, pid_ns: elsewhere }] }, 'held'],
  ['has evidence of another host', { evidence: [{ ...own, host_id: 'other' }] }, 'held'],
] as const) {
  pids(
    `a file of a dead pid that ${what} is ${expected === 'dead' ? 'taken over before its lease ends' : 'held until its lease ends'}`,
    scene(async ({ acquire, clock, ledger, lock }) => {
      const pid = deadPid()
      const evidence = 'evidence' in facts ? { evidence: facts.evidence.map((process) => ({ ...process, pid })) } : {}
      writeFileSync(lock, foreignText({ acquired, pid, ...facts, ...evidence }))
      if (expected === 'held') {
        is((await refusalOf(acquire())).code, 'LOCK_CONTENTION')
        clock.advance(1_800_000)
      }
      await acquire()
      const reason = expected === 'held' ? 'lease_expired' : 'pid_dead'
      is((await lastOf(ledger, 'lock.recovered')).data.recovery_reason, reason)
    }),
  )
}

pids(
  'a living pid keeps the lock until the lease ends, whatever the file records',
  scene(async ({ acquire, lock }) => {
    for (const facts of [{}, { pid_ns }, { evidence: [{ ...own, boot_id: null }] }]) {
      writeFileSync(lock, foreignText({ acquired, ...facts }))
      is((await refusalOf(acquire())).code, 'LOCK_CONTENTION')
    }
  }),
)

pids.run()
