import { spawn } from 'node:child_process'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { evidenceOf } from '../../src/disk/process.ts'
import { LockstepError } from '../../src/errors.ts'
import { formerAreGone } from '../../src/supervise/former.ts'
import { bootMillis, KeptLease } from '../../src/supervise/kept-lease.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { until } from './supervise.ts'

const former = suite('work of a holder whose lock was broken')
const isOver = () => false
const say = () => {}

former('is waited for until its process is dead', async () => {
  const child = spawn('sleep', ['100'], { stdio: 'ignore' })
  let isDone = false
  const said: string[] = []
  const evidence = evidenceOf(child.pid ?? 0)
  const waiting = formerAreGone([evidence], { isOver, say: (text) => said.push(text) }).then(() => {
    isDone = true
  })
  await until('the word that it is waited for', () => said.length > 0)
  is(isDone, false)
  child.kill('SIGKILL')
  await waiting
  is(said.length, 1)
  // The second time nothing is there.
  await formerAreGone([evidence], { isOver, say: () => ok(false) })
})

former('is waited for where its process cannot be seen, as in another container', async () => {
  const unseen = { ...evidenceOf(process.pid), pid: 2 ** 22, pid_ns: 'pid:[1]' }
  const said: string[] = []
  const began = performance.now()
  await formerAreGone([unseen], { isOver, say: (text) => said.push(text), millisMax: 200 })
  ok(performance.now() - began >= 200)
  equal(said, [
    `waiting for the processes of the former holder: ${2 ** 22}`,
    'the former holder may still be working; going on without waiting for it',
  ])
  await formerAreGone([{ ...unseen, pid: process.pid }], { isOver, say: (text) => said.push(text), millisMax: 0 })
  is(said.length, 4, 'a process elsewhere that has the number of one above us is not above us')
  await formerAreGone([evidenceOf(process.ppid)], { isOver, say: () => ok(false, 'one above us is not waited for') })
})

former('gets a short grace, however long the one that it asked for, for the next waits no longer', async () => {
  const dir = temporaryRoot()
  // Half of it is over, so that it is renewed at once.
  const leaseMillis = 3_600_000
  const lost = new LockstepError('LOCK_NOT_HELD', 'the grant has ended')
  const lease = new KeptLease(
    {
      ...{ dir, knownSize: 0, leaseMillis, name: 'resource:reports', requestedAt: bootMillis() - leaseMillis / 2, say },
      isLoss: (error): error is LockstepError => error === lost,
      look: () => Promise.resolve(),
      renew: () => Promise.reject(lost),
      withLedger: () => Promise.reject(lost),
    },
    600_000,
  )
  lease.keep()
  is(await lease.lost, lost)
  ok(lease.graceLeft() <= 10_000)
})

former.run()
