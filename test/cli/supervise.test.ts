// limit: 240

import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { userActor } from '../../src/disk/user.ts'
import { hold } from '../../src/lease.ts'
import {
  childOf,
  historyOf,
  isAlive,
  isGone,
  list,
  pidAfter,
  refusalOf,
  run,
  statusOf,
  tellsSignals,
  typesIn,
  until,
  withOpen,
  withRoot,
} from './supervise.ts'

const supervise = suite('superviseUnderLock')

supervise('passes the exit code on and releases with the outcome', () =>
  withRoot(async (dir) => {
    const script = join(dir, 'not-executable')
    writeFileSync(script, '')
    const rows: [command: string[], code: number, outcome: string][] = [
      [['true'], 0, 'success'],
      [['sh', '-c', 'exit 3'], 3, 'failure'],
      [['sh', '-c', 'kill -KILL $$'], 137, 'failure'],
      [['lockstep-no-such-command'], 127, 'failure'],
      [[script], 126, 'failure'],
    ]
    for (const [command, code] of rows) is(await run(dir, command).exit, code, command.join(' '))
    const entries = await historyOf(dir)
    equal(
      entries.filter(({ type }) => type === 'lock.released').map(({ data }) => data.outcome),
      rows.map(([, , outcome]) => outcome),
    )
    equal(
      typesIn(entries),
      rows.flatMap(() => ['lock.acquired', 'lock.released']),
    )
  }),
)

supervise('refuses a command that no shell could run, before anything is acquired', () =>
  withRoot(async (dir) => {
    for (const command of [[], ['-x']]) {
      const refused = run(dir, command)
      is(await refused.exit, 2)
      is(refusalOf(refused).code, 'INVALID_INPUT')
    }
    is(await withOpen(dir, async (ledger) => (await ledger.head.get()).size), 1)
  }),
)

supervise('gives the child its arguments, its environment and the four variables, with any content', () =>
  withRoot(async (dir) => {
    const words = ['a  b', '$HOME', '`id`', "it's", '"', '*', '', 'line\nbreak', '-n']
    const show = 'console.log(JSON.stringify([process.argv.slice(1), process.env]))'
    const name = 'quotes \' " \\n $x `y` āĀă 漢'
    const odd = { 'dotted.name-of.it': 'kept', 'BASH_FUNC_hello%%': '() { echo hi\n}', LOCKSTEP_TOKEN: 'outer' }
    const ran = run(dir, [process.execPath, '-e', show, '--', ...words], { request: { name } }, odd)
    is(await ran.exit, 0)
    const [argv, env] = JSON.parse(ran.out())
    equal(argv, words)
    const [acquired] = await historyOf(dir, `resource:${name}`)
    is(env.LOCKSTEP_LOCK_NAME, `resource:${name}`)
    is(env.LOCKSTEP_TOKEN, String(acquired?.seq))
    match(env.LOCKSTEP_LOCK_ID, /^lck_/)
    is(env.LOCKSTEP_LOCK_DIR, dir)
    // Only a bash at the gate hands on what is no name to a shell.
    if (existsSync('/bin/bash')) {
      is(env['dotted.name-of.it'], odd['dotted.name-of.it'])
      is(env['BASH_FUNC_hello%%'], odd['BASH_FUNC_hello%%'])
    }
  }),
)

supervise('passes stdin on untouched', () =>
  withRoot(async (dir) => {
    const text = 'a line of input\n'.repeat(20_000)
    const ran = run(dir, ['cat'])
    ran.process.stdin?.end(text)
    is(await ran.exit, 0)
    await until('all of the output', () => ran.out().length >= text.length)
    ok(ran.out() === text)
  }),
)

supervise('holds the lock by wrapper, child and guard while the command runs', () =>
  withRoot(async (dir) => {
    const ran = run(dir, tellsSignals)
    const child = await pidAfter(ran, 'ready')
    const { holder, holder_alive, pids, state } = await statusOf(dir)
    equal(
      { holder, holder_alive, pids: pids?.slice(0, 2), state },
      { holder: 'TASK', holder_alive: 'yes', pids: [ran.pid, child], state: 'held' },
    )
    const guard = (await list()).find(({ pid }) => pid === pids?.[2])
    equal([guard?.parent, guard?.session], [ran.pid, guard?.pid], 'it has a session of its own')
    is((await list()).find(({ pid }) => pid === child)?.group, child, 'it leads a group of its own')
    process.kill(child, 'SIGUSR2')
    is(await ran.exit, 0)
    is((await statusOf(dir)).state, 'free')
    is(await isAlive(guard?.pid ?? 0), false)
  }),
)

supervise('never starts the command under contention', () =>
  withRoot(async (dir) => {
    const first = run(dir, tellsSignals)
    const child = await pidAfter(first, 'ready')
    const marker = join(dir, 'ran')
    const second = run(dir, ['touch', marker])
    is(await second.exit, 75)
    const report = refusalOf(second)
    equal([report.code, report.holder, report.holder_alive], ['LOCK_CONTENTION', 'TASK', 'yes'])
    is(existsSync(marker), false)
    is((await list()).filter(({ parent }) => parent === second.pid).length, 0)
    process.kill(child, 'SIGUSR2')
    is(await first.exit, 0)
    equal(typesIn(await historyOf(dir)), ['lock.acquired', 'lock.released'])
  }),
)

supervise('waits for the lock, then runs', () =>
  withRoot(async (dir) => {
    const held = await withOpen(dir, (ledger) => hold(ledger, { name: 'reports', holder: 'first' }))
    const waiting = run(dir, ['echo', 'ran'], { wait_s: 60 })
    await childOf(waiting)
    is(waiting.out(), '')
    await withOpen(dir, (ledger) => ledger.locks.release({ lock_id: held.lock_id }))
    is(await waiting.exit, 0)
    is(waiting.out(), 'ran\n')
  }),
)

supervise('stops waiting when the time is over', () =>
  withRoot(async (dir) => {
    const held = await withOpen(dir, (ledger) => hold(ledger, { name: 'reports', holder: 'first' }))
    const waiting = run(dir, ['echo', 'ran'], { wait_s: 1 })
    is(await waiting.exit, 8)
    equal([refusalOf(waiting).code, refusalOf(waiting).holder, waiting.out()], ['TIMED_OUT', 'first', ''])
    await withOpen(dir, async (ledger) => {
      await ledger.locks.release({ lock_id: held.lock_id })
      // A ledger that cannot be had is waited for no longer than that either.
      const shut = run(dir, ['echo', 'ran'], { wait_s: 1, open_wait_s: 60 })
      is(await shut.exit, 8)
      equal([refusalOf(shut).code, shut.out()], ['TIMED_OUT', ''])
    })
  }),
)

supervise('stops waiting at a signal', () =>
  withRoot(async (dir) => {
    await withOpen(dir, (ledger) => hold(ledger, { name: 'reports', holder: 'first' }))
    const waiting = run(dir, ['echo', 'ran'], { wait_s: 60 })
    const child = await childOf(waiting)
    waiting.process.kill('SIGTERM')
    is(await waiting.exit, 143)
    equal([waiting.out(), waiting.err(), await isAlive(child)], ['', '', false])
    equal(typesIn(await historyOf(dir)), ['lock.acquired'])
  }),
)

supervise('releases a grant that a signal overtook, and never starts the command', () =>
  withRoot(async (dir) => {
    const ran = run(dir, ['echo', 'ran'], { close_after_ms: 1_000 })
    await until('the grant', () => ran.err().includes('closing'))
    ran.process.kill('SIGTERM')
    is(await ran.exit, 143)
    is(ran.out(), '')
    equal(typesIn(await historyOf(dir)), ['lock.acquired', 'lock.released'])
  }),
)

supervise('never runs its command if the lock was broken before the start, and exits with 76', () =>
  withRoot(async (dir) => {
    const breakIt = () =>
      withOpen(dir, (ledger) => ledger.locks.break({ name: 'resource:reports', reason: 'test', actor: userActor() }))
    // A process that does not end, which the next one waits for.
    const stays = spawn('sleep', ['100'])
    const request = { name: 'reports', holder: 'first', pids: [stays.pid ?? 0] }
    await withOpen(dir, (ledger) => hold(ledger, request))
    await breakIt()
    const next = run(dir, ['echo', 'ran'])
    await until('that it waits', () =>
      next.err().includes(`waiting for the processes of the former holder: ${stays.pid}`),
    )
    await breakIt()
    is(await next.exit, 76)
    is(next.out(), '')
    stays.kill('SIGKILL')
    is(await run(dir, ['echo', 'ran']).exit, 0)
  }),
)

supervise('leaves no child behind when the wrapper is killed while it waits', () =>
  withRoot(async (dir) => {
    await withOpen(dir, (ledger) => hold(ledger, { name: 'reports', holder: 'first' }))
    const waiting = run(dir, ['echo', 'ran'], { wait_s: 60 })
    const child = await childOf(waiting)
    waiting.process.kill('SIGKILL')
    is(await waiting.exit, 'SIGKILL')
    await isGone(child)
    is(waiting.out(), '')
  }),
)

supervise('takes its own grant again when the answer to an earlier try was lost', () =>
  withRoot(async (dir) => {
    const ran = run(dir, ['echo', 'ran'], { wait_s: 60, lose_answers: 1 })
    is(await ran.exit, 0)
    is(ran.out(), 'ran\n')
    equal(
      (await historyOf(dir)).map(({ type }) => type),
      ['lock.acquired', 'lock.renewed', 'lock.released'],
    )
  }),
)

supervise('does not run under the lock_id of another acquisition', () =>
  withRoot(async (dir) => {
    const lock_id = 'lck_0123456789abcdef'
    const request = { name: 'reports', holder: 'TASK', lock_id }
    await withOpen(dir, (ledger) => hold(ledger, request))
    const second = run(dir, ['echo', 'ran'], { lock_id })
    is(await second.exit, 5)
    is(refusalOf(second).code, 'IDEMPOTENCY_MISMATCH')
    await withOpen(dir, (ledger) => ledger.locks.release({ lock_id }))
    const third = run(dir, ['echo', 'ran'], { lock_id })
    is(await third.exit, 5)
    equal([refusalOf(third).code, second.out(), third.out()], ['LOCK_ENDED', '', ''])
  }),
)

supervise(
  'when killed, leaves its command to the guard: TERM, then KILL; the lock is an orphan after that, not before',
  () =>
    withRoot(async (dir) => {
      const ran = run(dir, tellsSignals, { graceMillis: 3_000 })
      const child = await pidAfter(ran, 'ready')
      ran.process.kill('SIGKILL')
      is(await ran.exit, 'SIGKILL')
      await until('TERM', () => ran.out().includes('SIGTERM'))
      const alone = await statusOf(dir)
      equal([alone.state, alone.holder_alive], ['held', 'yes'])
      is(await run(dir, ['true']).exit, 75)
      is(await isAlive(child), true)
      await isGone(child)
      for (const pid of alone.pids ?? []) await isGone(pid)
      const orphan = await statusOf(dir)
      equal([orphan.state, orphan.orphan_reason], ['orphan', 'pid_dead'])
      is(await run(dir, ['true']).exit, 0)
      equal(typesIn(await historyOf(dir)), ['lock.acquired', 'lock.recovered', 'lock.acquired', 'lock.released'])
    }),
)

supervise.run()
