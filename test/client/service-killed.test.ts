// limit: 180

import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { type Client, connect, hold, LockstepError } from '../../src/client.ts'
import { newLockId, refused } from '../api/stage.ts'
import { until } from '../ledger/stage.ts'
import { root as packageRoot } from '../runner.ts'
import { servicesOf, withServiceProcess } from './service-process.ts'

const test = suite('a service that is killed and started again')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 3)
const event = { action_type: 'system', outcome: 'success' } as const

/** Errors that no promise was waiting for. */
const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => unhandled.push(reason))

/** Makes a call again while the service is away for longer than a client waits. The call is the same each time. */
async function persistently<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code !== 'LEDGER_UNAVAILABLE') throw error
    }
  }
}

test(
  '64 callers go on across kills, and every answered command is in the log once',
  withServiceProcess(async ({ kill, root, start }) => {
    await start()
    const client = await connect({ dir: root })
    const answered: number[] = []
    let isOver = false
    const caller = async (index: number) => {
      while (!isOver) {
        const lock_id = newLockId()
        const acquire = { name: `lock-${index}`, holder: 'h', lock_id }
        const { token } = await persistently(() => client.locks.acquire(acquire))
        const append = { events: [event], idempotency_key: lock_id }
        const { events } = await persistently(() => client.audit.append(append))
        answered.push(token, ...events.map(({ seq }) => seq))
        await persistently(() => client.locks.release({ lock_id }))
      }
    }
    const callers = Promise.all(Array.from({ length: 64 }, (_, index) => caller(index)))
    for (let round = 0; round < rounds; round += 1) {
      const before = answered.length
      await until('work goes on', () => answered.length > before + 500)
      await kill(round % 2 === 0 ? 'SIGKILL' : 'SIGTERM')
      await start()
    }
    isOver = true
    await callers
    is(new Set(answered).size, answered.length, 'no entry answers two commands')
    const types = await typesIn(client)
    for (const seq of answered) ok(['audit.recorded', 'lock.acquired'].includes(types[seq] ?? ''), `${seq}`)
    is(types.filter((type) => type === 'audit.recorded').length, answered.length / 2, 'no command is in the log twice')
    await client.close()
  }),
)

async function typesIn(client: Client): Promise<string[]> {
  const types: string[] = []
  for await (const { type } of client.log.read()) types.push(type)
  return types
}

test(
  'calls that wait are put in line again, and streams end in an error',
  withServiceProcess(async ({ kill, root, start }) => {
    await start()
    const client = await connect({ dir: root })
    const { lock_id, name } = await client.locks.acquire({ name: 'a', holder: 'first' })
    const second = { name: 'a', holder: 'second', lock_id: newLockId(), wait_s: 60 }
    const waiting = persistently(() => client.locks.acquire(second))
    const items: number[] = []
    const follow = async (from: number) => {
      for await (const { seq } of client.log.subscribe({ from })) items.push(seq)
    }
    const cut = refused(follow(0), 'LEDGER_UNAVAILABLE')
    await until('one waits', async () => (await client.locks.status({ name })).waiting === 1)
    await until('the stream is under way', () => items.length > 0)
    await kill('SIGKILL')
    await cut
    await start()
    await until('one waits again', async () => (await client.locks.status({ name })).waiting === 1)
    const ended = follow((items.at(-1) ?? 0) + 1)
    await client.locks.release({ lock_id })
    const granted = await waiting
    await until('the stream has the grant', () => items.includes(granted.token))
    equal(
      items,
      Array.from({ length: items.length }, (_, seq) => seq),
    )
    await kill('SIGTERM')
    await ended
    await client.close()
  }),
)

test(
  'a lease goes on, and its signal ends with the lease if the service is gone',
  withServiceProcess(async ({ kill, root, start }) => {
    await start()
    const client = await connect({ dir: root })
    const [kept, lost] = await Promise.all(
      ['kept', 'lost'].map((name) => hold(client, { name, holder: 'h', lease_duration_s: name === 'kept' ? 600 : 10 })),
    )
    if (kept === undefined || lost === undefined) throw new Error('two were granted')
    equal([kept.signal.aborted, lost.signal.aborted], [false, false])
    is((await client.locks.status({ name: 'kept' })).pids?.[0], process.pid)
    await kept.renew()
    await kill('SIGKILL')
    const [{ details }] = await Promise.all([
      refused(lost.renew(), 'LEDGER_UNAVAILABLE'),
      until('the signal of the lost lease', () => lost.signal.aborted),
    ])
    is(details.outcome, 'not_applied')
    is(kept.signal.aborted, false)
    await start()
    is((await kept.renew()).renewals, 2)
    await kept.release()
    const code = await lost.release().then(
      () => 'released',
      (error: LockstepError) => error.code,
    )
    ok(['LOCK_NOT_HELD', 'released'].includes(code), code)
    await client.close()
  }),
)

test(
  'is started by clients that may start it: one service for all, again after its end',
  withServiceProcess(async ({ root }) => {
    await refused(connect({ dir: root }), 'LEDGER_UNAVAILABLE')
    const clients = await Promise.all(Array.from({ length: 4 }, () => connect({ dir: root, start: true })))
    await Promise.all(clients.map((client) => client.audit.append({ events: [event] })))
    await until('one service is left', () => servicesOf(root).length === 1)
    for (const pid of servicesOf(root)) process.kill(pid, 'SIGKILL')
    await until('the service has ended', () => servicesOf(root).length === 0)
    await Promise.all(clients.map((client) => client.audit.append({ events: [event] })))
    for (const client of clients) await client.close()
  }),
)

test(
  'belongs to nobody: it outlives the lock and does not take the actor of the process that started it',
  withServiceProcess(async ({ root }) => {
    const file = join(root, 'program.mjs')
    const entry = JSON.stringify(pathToFileURL(join(packageRoot, 'dist/client.js')).href)
    const program = `const { connect } = await import(${entry})\nawait connect({ dir: ${JSON.stringify(root)}, start: true })`
    writeFileSync(file, program)
    const lockstep = join(packageRoot, 'dist/cli/main.js')
    const words = [lockstep, 'lock', 'run', 'work', '--dir', root, '--', process.execPath, file]
    const env = { ...process.env, LOCKSTEP_ACTOR: 'agent:starter' }
    const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', env, timeout: 60_000 })
    equal([status, stderr], [0, ''])
    const client = await connect({ dir: root })
    is((await client.locks.status({ name: 'work' })).state, 'free')
    const { events } = await client.audit.append({ events: [event] })
    const { actor } = await client.log.entry({ seq: events[0]?.seq ?? 0 })
    is(actor.actor_type, 'human')
    await client.close()
  }),
)

test(
  'says how it ended, if it does not start',
  withServiceProcess(async ({ root }) => {
    const head = join(root, '.lockstep/head')
    const text = readFileSync(head, 'utf8')
    writeFileSync(head, '{')
    const { message } = await refused(connect({ dir: root, start: true }), 'LEDGER_UNAVAILABLE')
    ok(message.includes('exit code'), message)
    writeFileSync(head, text)
  }),
)

test('no rejection went unhandled', () => equal(unhandled, []))

test.run()
