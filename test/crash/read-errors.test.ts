// limit: 180
import { spawnSync } from 'node:child_process'
import { readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { Layout } from '../../src/disk/layout.ts'
import { root as projectRoot } from '../runner.ts'
import { copyOfCrashed, crashedLedger } from '../support/crashed.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { randomBelow } from '../support/seed.ts'

// What a ledger comes to whose process was killed, if the system gives an error, once, while it is opened again.

const errors = suite('a system error while a ledger is opened after a crash')
const random = randomBelow('read errors')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 0)
const command = join(projectRoot, 'dist/cli/main.js')
const library = preloaded()
const crashed = await crashedLedger()
const { size, token } = crashed

interface Ran {
  status: number | null
  json: Record<string, unknown>
  /** How many calls were counted. */
  calls: number
}

const calls = { read: 0, open: 0 }
const kinds = ['read', 'open'] as const
const names = ['EIO', 'EMFILE', 'ESTALE', 'EINTR', 'EDQUOT']

for (const call of kinds) {
  errors(`(${call}) does not occur if no call fails: the lock is still held`, () => {
    if (library === undefined) return
    const { calls: counted, json, status } = acquire(copyOfCrashed(crashed), { call, nth: 0 })
    equal([status, json.code, json.token], [75, 'LOCK_CONTENTION', token], JSON.stringify(json))
    ok(counted > 10, `${counted} calls`)
    calls[call] = counted
  })

  errors(`(${call}) is refused or ignored, and no entry is lost`, async () => {
    if (library === undefined) return
    const all = Array.from({ length: calls[call] }, (_, index) => index + 1)
    const chosen = rounds > 0 ? all : all.filter(() => random(calls[call]) < 3)
    const said = new Map<string, number>()
    for (const nth of chosen) {
      for (const name of rounds > 0 ? names : [names[nth % names.length] ?? '']) {
        const outcome = outcomeOf(call, nth, name)
        said.set(outcome, (said.get(outcome) ?? 0) + 1)
      }
    }
    if (rounds === 0) return
    ok(said.has('LevelDB recovered'), 'LevelDB passes over what it cannot read, and we do not')
    console.log(
      `${call}: ${calls[call]} calls, ${names.length} errors each: ${JSON.stringify(Object.fromEntries(said))}`,
    )
  })
}

/** Runs a command in which one call fails, and one in which none does; how the first message begins. */
function outcomeOf(call: 'open' | 'read', nth: number, name: string): string {
  const layout = copyOfCrashed(crashed)
  const { json, status } = acquire(layout, { call, nth, errno: Reflect.get(constants.errno, name) })
  const what = `${call} ${nth} gives ${name}: exit ${status}, ${JSON.stringify(json)}`
  if (status !== 75) {
    equal([status, json.code, json.outcome, json.retryable], [7, 'LEDGER_UNAVAILABLE', 'not_applied', true], what)
  }
  const again = acquire(layout, { call, nth: 0 })
  const then = `${what}; then ${JSON.stringify(again.json)}`
  equal([again.status, again.json.code, again.json.token], [75, 'LOCK_CONTENTION', token], then)
  const verified = run(layout, ['verify'])
  is(verified.status, 0, `${what}; then ${JSON.stringify(verified.json)}`)
  ok(Number(verified.json.entries) >= size, then)
  return status === 75 ? 'opened' : String(json.message).split(' ', 2).join(' ')
}

errors.run()

function preloaded(): string | undefined {
  const file = join(temporaryRoot(), 'failing-reads.so')
  const source = join(projectRoot, 'fixtures/crash/failing-reads.c')
  const { status } = spawnSync('gcc', ['-shared', '-fPIC', '-o', file, source, '-ldl'])
  if (process.platform === 'linux' && status === 0) return file
  console.log('there is no gcc, or this is not Linux: no read is made to fail')
  return undefined
}

function acquire(layout: Layout, fault: { call: 'open' | 'read'; nth: number; errno?: number }): Ran {
  const count = join(temporaryRoot(), 'count')
  writeFileSync(count, '')
  const env = {
    LD_PRELOAD: library ?? '',
    FAIL_IN: realpathSync(layout.ledger),
    FAIL_CALL: fault.call,
    FAIL_NTH: String(fault.nth),
    FAIL_COUNT: count,
    FAIL_ERRNO: String(fault.errno ?? 0),
  }
  return { ...run(layout, ['lock', 'acquire', 'reports', '--holder', 'another'], env), calls: statSync(count).size }
}

function run(layout: Layout, words: readonly string[], env: Record<string, string> = {}): Omit<Ran, 'calls'> {
  const { status, stderr, stdout } = spawnSync(process.execPath, [command, '--dir', layout.root, '--json', ...words], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  })
  try {
    return { status, json: JSON.parse(stdout) as Record<string, unknown> }
  } catch {
    throw new Error(`exit ${status}: ${stdout}${stderr}${readFileSync(layout.owner, 'utf8')}`)
  }
}
