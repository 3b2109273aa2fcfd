import { userInfo } from 'node:os'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { type Asked, ask, post, posted, problemIn, until, withService } from '../support/service.ts'

const waiting = suite('calls that wait')

const acquire = '/v1/locks/acquire'
const actor = (actor_id: string) => ({ actor_id, actor_type: 'agent' })
const lockId = (name: string) => `lck_${name.padEnd(16, '0')}`
const wanted = (holder: string, wait_s = 60) => ({
  actor: actor(holder),
  holder,
  lock_id: lockId(holder),
  name: 'reports',
  wait_s,
})

/** Acquires the lock with a wait, and resolves when the caller stands in line as the given number. */
async function inLine(at: string, holder: string, place: number, asked: Asked = {}) {
  const answer = post(at, acquire, wanted(holder), asked)
  answer.catch(() => {})
  await until(`${holder} is in line`, async () => (await waitersAt(at)) === place)
  // In an object, because a promise would be awaited.
  return { answer }
}

async function statusAt(at: string): Promise<{ first_waiting?: unknown; waiting: number }> {
  return JSON.parse((await ask(at, '/v1/locks/status?name=reports')).text)
}

async function waitersAt(at: string): Promise<number> {
  return (await statusAt(at)).waiting
}

const release = (at: string, holder: string) =>
  posted(at, '/v1/locks/release', { actor: actor(holder), lock_id: lockId(holder) })

waiting('are served in the order of their arrival', async () => {
  await withService(async ({ address }) => {
    await posted(address, acquire, wanted('first', 0))
    const names = ['a', 'b', 'c', 'd', 'e']
    const served: string[] = []
    const answers: Promise<unknown>[] = []
    for (const [at, name] of names.entries()) {
      const { answer } = await inLine(address, name, at + 1)
      answers.push(
        answer.then(async ({ status, text }) => {
          is(status, 200, text)
          served.push(name)
          await release(address, name)
        }),
      )
    }
    const first = await statusAt(address)
    equal([first.waiting, first.first_waiting], [5, { actor_id: 'a', authn: `os:${userInfo().username}`, holder: 'a' }])
    await release(address, 'first')
    await Promise.all(answers)
    equal(served, names)
    ok(!('first_waiting' in (await statusAt(address))))
  })
})

waiting('leave the line when their client goes away', async () => {
  await withService(async ({ address }, ledger) => {
    await posted(address, acquire, wanted('first', 0))
    const gone = new AbortController()
    await inLine(address, 'gone', 1, { signal: gone.signal })
    const { answer } = await inLine(address, 'next', 2)
    gone.abort()
    await until('the client has left', async () => (await waitersAt(address)) === 1)
    await release(address, 'first')
    is((await answer).status, 200)
    const holders: unknown[] = []
    for await (const { data, type } of ledger.log.read()) if (type === 'lock.acquired') holders.push(data.holder)
    equal(holders, ['first', 'next'])
  })
})

waiting('time out with 408', async () => {
  await withService(async ({ address }) => {
    await posted(address, acquire, wanted('first', 0))
    problemIn(await post(address, acquire, wanted('late', 1)), 'TIMED_OUT')
  })
})

waiting('are told to retry with the same lock_id when the service closes, and were not applied', async () => {
  await withService(async (service, ledger) => {
    const { address } = service
    await posted(address, acquire, wanted('first', 0))
    const { answer } = await inLine(address, 'next', 1)
    const started = performance.now()
    await service.close()
    const problem = problemIn(await answer, 'LEDGER_UNAVAILABLE')
    is(problem.details.outcome, 'not_applied')
    ok(problem.hint?.includes('same lock_id'), problem.hint)
    is((await answer).headers.connection, 'close')
    ok(performance.now() - started < 4_000)
    is((await ledger.locks.status({ name: 'reports' })).waiting, 0)
  })
})

waiting('with the same key get the same grant', async () => {
  await withService(async ({ address }) => {
    const headers = { 'idempotency-key': 'a key of the caller' }
    const input = { holder: 'h', name: 'reports' }
    const [first, again] = [
      await posted(address, acquire, input, { headers }),
      await posted(address, acquire, input, { headers }),
    ]
    equal([again.token, again.lock_id, again.replayed], [first.token, first.lock_id, true])
    const own = { 'idempotency-key': lockId('own') }
    is((await posted(address, acquire, { ...input, name: 'other' }, { headers: own })).lock_id, lockId('own'))
    const differing = await post(address, acquire, { ...input, lock_id: lockId('mine') }, { headers: own })
    problemIn(differing, 'INVALID_INPUT')
    const events = [{ action_type: 'system', outcome: 'success' }]
    const audit = () => posted(address, '/v1/audit/append', { events }, { headers })
    equal((await audit()).replayed, false)
    equal((await audit()).replayed, true)
  })
})

waiting.run()
