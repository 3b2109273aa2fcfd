// limit: 240
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { randomFrom } from '../../fixtures/random.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { type OpenLedgerOptions, openLedger } from '../../src/open.ts'
import { interrupted, lookAt, stepsOf } from '../crash/interrupted.ts'
import { makeDeliverables } from '../crash/writers.ts'
import { asked } from '../support/asked.ts'
import { type Ended, lockstep, lockstepTogether } from '../support/command.ts'
import { compiled } from '../support/compiled.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { printedSeed } from '../support/seed.ts'

const seed = printedSeed('open wait')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
/** A process costs a fifth of a second, so the short run starts few. */
const commands = rounds > 1 ? 12 : 5
const folderName = 'DEL-01-01_One'
const holder = ['--holder', 'TASK', '--pid', String(process.pid)]

const waits = suite('a ledger that another process has open')

async function newRoot(): Promise<string> {
  const root = temporaryRoot()
  makeDeliverables(root, [folderName])
  await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
  return root
}

const open = (root: string, options: OpenLedgerOptions = {}) => openLedger({ dir: root, actor: testActor, ...options })
const acquire = (root: string, name: string) => ['--dir', root, 'lock', 'acquire', name, ...holder]

waits('is waited for, and opened as soon as it is closed', async () => {
  const root = await newRoot()
  const ledger = await open(root)
  const tried = asked(layoutOf(root))
  let isAnswered = false
  const answer = lockstep(acquire(root, 'reports')).then((ended) => {
    isAnswered = true
    return ended
  })
  await tried
  is(isAnswered, false)
  is((await ledger.head.get()).size, 1)
  await ledger.close()
  const { json, status, stdout } = await answer
  is(status, 0, stdout)
  is(json.token, 1)
  await endsWithVerify(root)
})

waits('is refused after --open-wait with the name of its owner, however many others wait', async () => {
  const root = await newRoot()
  const ledger = await open(root, { command: 'the night shift' })
  const waiters = await Promise.all(
    ['a', 'b', 'c'].map((name) => lockstep([...acquire(root, name), '--open-wait', '2'])),
  )
  for (const { json, status, stdout } of waiters) {
    is(status, 7, stdout)
    is(json.code, 'LEDGER_UNAVAILABLE', stdout)
    is(json.owner_pid, process.pid, stdout)
    is(json.owner_command, 'the night shift', stdout)
    match(String(json.message), new RegExp(`process ${process.pid} \\(the night shift, since `))
    is(json.outcome, 'not_applied', stdout)
    is(json.retryable, true, stdout)
    match(String(json.hint), /--open-wait/)
  }
  is((await ledger.head.get()).size, 1, 'nothing was appended')
  await ledger.close()
  is((await lockstep(acquire(root, 'a'))).status, 0)
  await endsWithVerify(root)
})

waits(`serves ${commands} commands at once, each with one acquire and one release`, async () => {
  const root = await newRoot()
  const names = Array.from({ length: commands }, (_, index) => `name-${index}`)
  const acquired = await lockstepTogether(names.map((name) => acquire(root, name)))
  const tokens = acquired.map(tokenOf)
  equal(new Set(tokens).size, commands)
  const releases = acquired.map(({ json }) => ['--dir', root, 'lock', 'release', String(json.lock_id)])
  const released = await lockstepTogether(releases)
  equal(released.map(tokenOf), tokens)
  const { entries, findings } = await lookAt(root)
  is(entries.length, 1 + 2 * commands)
  equal(findings, [])
})

waits('gives the lock to one of two simultaneous commands, and tells the other who has it', async () => {
  const root = await newRoot()
  const folder = join(root, folderName)
  for (const words of [['reports'], ['--folder', folder]]) {
    const both = await lockstepTogether([0, 1].map(() => ['--dir', root, 'lock', 'acquire', ...words, ...holder]))
    const [winner, loser] = both.sort((one, other) => Number(one.status) - Number(other.status))
    is(winner?.status, 0, winner?.stdout)
    is(loser?.status, 75, loser?.stdout)
    is(loser?.json.token, winner?.json.token)
  }
  equal((await lookAt(root)).findings, [])
})

waits('is created by one of several simultaneous inits, and the others leave nothing behind', async () => {
  const root = temporaryRoot()
  const all = await lockstepTogether([0, 1, 2].map(() => ['init', root]))
  equal(all.map(({ status }) => status).sort(), [0, 5, 5], all.map(({ stdout }) => stdout).join())
  equal(readdirSync(root), ['.lockstep'])
  await endsWithVerify(root)
})

waits('is not blocked by the owner file of a killed process', async () => {
  const root = await newRoot()
  const writer = spawn(process.execPath, [compiled('fixtures/crash/writer.ts'), root, '1'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  await once(writer.stdout, 'data')
  writer.kill('SIGKILL')
  await once(writer, 'close')
  const said = JSON.parse(readFileSync(join(root, '.lockstep/owner'), 'utf8')) as { state: string; pid: number }
  equal([said.state, said.pid], ['open', writer.pid])
  const { status, stdout } = await lockstep([...acquire(root, 'after-the-kill'), '--open-wait', '0'])
  is(status, 0, stdout)
  equal((await lookAt(root)).findings, [])
})

waits('is not blocked by an owner file that names a living process without the ledger', async () => {
  const root = await newRoot()
  const hint = { state: 'open', pid: process.pid, since: new Date().toISOString(), command: 'somebody else' }
  writeFileSync(join(root, '.lockstep/owner'), JSON.stringify(hint))
  const { status, stdout } = await lockstep([...acquire(root, 'reports'), '--open-wait', '20'])
  is(status, 0, stdout)
  await endsWithVerify(root)
})

waits('is whole after Ctrl-C at any moment of a command', async () => {
  const random = randomFrom(seed)
  const listed = await newRoot()
  const words = (root: string) => ['--dir', root, 'lock', 'acquire', '--folder', join(root, folderName), ...holder]
  const steps = (await stepsOf({ root: listed, words: words(listed) })).length
  for (let round = 0; round < rounds; round += 1) {
    const root = await newRoot()
    const stopped = await interrupted({ root, words: words(root), signal: 'SIGINT' }, steps, random)
    const where = `LOCKSTEP_SEED=${seed}, step ${stopped.step} of ${steps}: ${stopped.stdout}${stopped.stderr}`
    ok(stopped.signal === 'SIGINT' || stopped.status === 130, where)
    const met = await lookAt(root)
    equal(met.findings, [], where)
    const isGranted = met.entries.some(({ type }) => type === 'lock.acquired')
    const next = await lockstep(words(root))
    is(next.status, isGranted ? 75 : 0, `${where}, then ${next.stdout}`)
    equal((await lookAt(root)).findings, [], where)
  }
})

waits('is left at once by a waiting command on Ctrl-C, which leaves nothing behind', async () => {
  const root = await newRoot()
  const ledger = await open(root)
  const tried = asked(layoutOf(root))
  const main = join(process.env.LOCKSTEP_TEST_DIST ?? 'dist', 'cli/main.js')
  const child = spawn(process.execPath, [main, ...acquire(root, 'reports'), '--json'], { stdio: 'ignore' })
  await tried
  child.kill('SIGINT')
  const [status, signal] = await once(child, 'close')
  ok(signal === 'SIGINT' || status === 130, `${status} ${signal}`)
  is((await ledger.head.get()).size, 1)
  await ledger.close()
  equal((await lookAt(root)).findings, [])
})

waits.run()

function tokenOf({ json, status, stdout }: Ended): number {
  is(status, 0, stdout)
  return Number(json.token)
}
