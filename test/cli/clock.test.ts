import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, not, ok } from 'uvu/assert'
import { now } from '../../src/disk/process.ts'
import { openLedger } from '../../src/open.ts'
import { type Ended, lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const clocks = suite('the clock of the ledger, from the command line')

/** A ledger in which one command ran under a clock in 2099. */
async function newRoot(): Promise<{ root: string; run: (...words: string[]) => Promise<Ended> }> {
  const root = temporaryRoot()
  mkdirSync(join(root, 'work'))
  const in2099 = () => ({ ...now(), wall_ms: Date.UTC(2099, 0, 1) })
  await (await openLedger({ dir: root, create: true, actor: testActor, policy: false })).close()
  const ledger = await openLedger({ dir: root, actor: testActor, now: in2099 })
  await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
  await ledger.close()
  return { root, run: (...words) => lockstep(['--dir', root, ...words], { cwd: '/' }) }
}

const warning = /^warning: the time of entries is \d+ d .* ahead of the wall clock.*lockstep clock reset/m

clocks(
  'every answer to a write reports that the time of entries is ahead, until an operator resets the clock',
  async () => {
    const { root, run } = await newRoot()
    const acquired = await run('lock', 'acquire', 'reports', '--holder', 'TASK', '--lease', '15m')
    is(acquired.status, 0)
    match(acquired.stderr, warning)
    ok(Number(acquired.json.clock_ahead_s) > 3_600)
    const status = await run('lock', 'status', 'reports')
    not.match(status.stderr, warning, 'a read is not told')
    not('clock_ahead_s' in status.json)

    const denied = await run('--actor', 'agent-9', 'clock', 'reset', '--reason', 'it was wrong')
    equal([denied.status, denied.json.code], [4, 'CLOCK_RESET_DENIED'])
    const reset = await run('--actor', 'human:BECCA', 'clock', 'reset', '--reason', 'it was wrong')
    is(reset.status, 0, reset.stdout + reset.stderr)
    equal(reset.json.previous_time, '2099-01-01T00:00:00.000Z')
    ok(Math.abs(Date.parse(String(reset.json.time)) - Date.now()) < 60_000)
    equal([reset.stderr, 'clock_ahead_s' in reset.json], ['', false])

    const again = await run('--actor', 'human:BECCA', 'clock', 'reset', '--reason', 'it was wrong')
    equal([again.status, again.json.code], [5, 'CLOCK_NOT_AHEAD'])
    const recorded = await run('audit', 'append', '--outcome', 'success')
    equal([recorded.status, recorded.stderr, 'clock_ahead_s' in recorded.json], [0, '', false])
    await endsWithVerify(root)
  },
)

clocks('doctor warns about it, and finds nothing after the clock was reset', async () => {
  const { root, run } = await newRoot()
  const findingOf = async () => {
    const { json, status } = await run('doctor')
    is(status, 0)
    return (json.findings as { check: string; finding: string; outcome: string }[]).find(
      ({ check }) => check === 'ledger',
    )
  }
  const before = await findingOf()
  is(before?.outcome, 'warn')
  match(before?.finding ?? '', /ahead of the wall clock.*lockstep clock reset/)
  is((await run('--actor', 'human:BECCA', 'clock', 'reset', '--reason', 'drill')).status, 0)
  is((await findingOf())?.outcome, 'ok')
  await endsWithVerify(root)
})

clocks('listings for people say when something happened by the wall clock, and no "in 26329 d"', async () => {
  const { root } = await newRoot()
  const people = (...words: string[]) => lockstep(['--dir', root, ...words], { cwd: '/', isForPeople: true })
  is((await people('lock', 'acquire', 'reports', '--holder', 'TASK')).status, 0)
  for (const words of [
    ['audit', 'list'],
    ['audit', 'list', '--entries'],
    ['lock', 'history', 'reports'],
  ]) {
    const { stdout } = await people(...words)
    not.match(stdout, /in \d+ d/, words.join(' '))
    match(stdout, / s ago /, words.join(' '))
  }
  match((await people('audit', 'list')).stdout, /at 2099-01-01T00:00:00\.000Z/)
  await endsWithVerify(root)
})

clocks.run()
