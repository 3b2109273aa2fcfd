// limit: 120
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { type Ask, put } from '../../fixtures/crash/asks.ts'
import type { LockstepError } from '../../src/errors.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import type { Ledger } from '../../src/ledger.ts'
import type { Store } from '../../src/log/keyed/store.ts'
import { openLedger } from '../../src/open.ts'
import { root as projectRoot } from '../runner.ts'
import { compiled } from '../support/compiled.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { type Asked, askedIn, missingFrom } from './lines.ts'
import { canTrace } from './trace.ts'
import { unexplainedIn } from './unexplained.ts'
import { makeDeliverables, runWriter } from './writers.ts'

const command = join(projectRoot, 'dist/cli/main.js')
const folders = ['DEL-01-01_One', 'DEL-01-02_Two']
/** How much more is free each time; the short run takes larger steps. */
const bytesMore = process.env.LOCKSTEP_ROUNDS === undefined ? 8_192 : 4_096
const run_id = 'run_ACME_shop_2026-02-02_001'
const target_name = 'IAMBECCA | ACME | SITE | shop | NEO'

const faults = suite('a failed write')

/** A store whose writes fail once told to, before or after they persist. */
function failing() {
  let mode: 'before' | 'after' | 'never' = 'never'
  const wrapStore = (store: Store): Store => ({
    ...store,
    write: async (batch) => {
      if (mode === 'before') throw new Error('IO error: no such luck')
      await store.write(batch)
      if (mode === 'after') throw new Error('IO error: no such luck')
    },
  })
  return {
    wrapStore,
    fail: (when: 'before' | 'after') => {
      mode = when
    },
  }
}

for (const when of ['before', 'after'] as const) {
  faults(`that fails ${when} it persists is an unknown outcome, which reopening decides`, async () => {
    const root = await newRoot()
    const { fail, wrapStore } = failing()
    const ledger = await openLedger({ dir: root, actor: testActor, wrapStore })
    await put(ledger, { do: 'acquire', name: 'held', lock_id: idOf('held') })
    const waiting = refusalOf(ledger.locks.acquire({ name: 'held', holder: 'w', wait_s: 60, lock_id: idOf('waits') }))
    fail(when)
    const asks: Ask[] = [
      { do: 'acquire', name: 'reports', lock_id: idOf('reports') },
      { do: 'acquire', folder: join(root, folders[0] ?? ''), lock_id: idOf('folder') },
      { do: 'acquire', target_name, run_id },
      { do: 'audit', key: 'a-note' },
    ]
    const refusals = await Promise.all(asks.map((ask) => refusalOf(put(ledger, ask))))
    for (const { code, details } of [...refusals, await waiting]) {
      is(code, 'LEDGER_UNAVAILABLE')
      ok(['unknown', 'not_applied'].includes(String(details.outcome)), `outcome ${details.outcome}`)
    }
    ok(refusals.some(({ details }) => details.outcome === 'unknown'))
    is((await waiting).details.outcome, 'not_applied')
    const { details } = await refusalOf(put(ledger, { do: 'audit', key: 'later' }))
    is(details.outcome, 'not_applied')
    await ledger.close()

    const again = await openLedger({ dir: root, actor: testActor })
    const met = await entriesOf(again)
    equal(unexplainedIn(root, met), [])
    for (const [index, { details }] of refusals.entries()) {
      const ask = asks[index] as Ask
      const isThere = met.some((entry) => isOf(entry, ask))
      is(isThere, details.outcome === 'unknown' && when === 'after', JSON.stringify(ask))
      const first = await put(again, ask)
      is(first.replayed, isThere, JSON.stringify({ ask, first }))
      equal(await put(again, ask), { ...first, replayed: true })
    }
    ok(!met.some((entry) => entry.request?.key === 'later'))
    await again.close()
    await endsWithVerify(root)
  })
}

faults('does not keep the ledger from being opened again by the same process', async () => {
  const root = await newRoot()
  for (const when of ['before', 'after'] as const) {
    const { fail, wrapStore } = failing()
    const ledger = await openLedger({ dir: root, actor: testActor, wrapStore })
    fail(when)
    await refusalOf(put(ledger, { do: 'audit', key: `note ${when}` }))
    await ledger.close()
  }
  await endsWithVerify(root)
})

faults('by a sync that the disk refuses', async () => {
  if (!canTrace()) return console.log('strace is not here: no sync is made to fail')
  const root = await newRoot()
  const inject = ['-f', '-o', '/dev/null', '-e', 'trace=fdatasync', '-e', 'inject=fdatasync:error=EIO:when=20+']
  const ended = spawnSync('strace', [...inject, process.execPath, compiled('fixtures/crash/filler.ts'), root], {
    encoding: 'utf8',
  })
  is(ended.status, 0, ended.stderr)
  await tellsAndKeeps(root, askedIn(linesOf(ended.stdout)))
})

faults('by a file that may not grow', async () => {
  const root = await newRoot()
  const limit = ['--fsize=1000000', process.execPath, compiled('fixtures/crash/filler.ts'), root]
  const ended = spawnSync('prlimit', limit, { encoding: 'utf8' })
  if (ended.error !== undefined) return console.log('prlimit is not here: no file is kept from growing')
  is(ended.status, 0, ended.stderr)
  await tellsAndKeeps(root, askedIn(linesOf(ended.stdout)))
})

faults('by a disk that is full, in the library and in the command', async () => {
  const root = mkdtempSync(join(tmpdir(), 'lockstep-small-disk-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', root])
  if (status !== 0) return console.log('mounting is not permitted: no disk is filled')
  try {
    await fillDiskAt(await newRoot(root))
  } finally {
    spawnSync('umount', [root])
    rmSync(root, { recursive: true, force: true })
  }
})

faults.run()

/** A ledger on a disk of 6 MiB: filled by its own entries, then met by commands with ever more bytes free. */
async function fillDiskAt(root: string): Promise<void> {
  const [one = '', two = ''] = folders.map((name) => join(root, name))
  const ballast = join(two, 'work.bin')
  const rest = join(one, 'work.bin')
  writeFileSync(ballast, Buffer.alloc(3 * 1024 * 1024))
  const ended = await runWriter(compiled('fixtures/crash/filler.ts'), [root], { afterMillis: 60_000 })
  is(ended.code, 0, ended.stderr)

  const granted: string[] = []
  const findings: string[] = []
  const acquire = (words: string[], when: string) => {
    const held = ['--holder', 'TASK', '--pid', String(process.pid)]
    const { status, stdout } = run(root, ['lock', 'acquire', ...words, ...held])
    const answer = JSON.parse(stdout) as Record<string, unknown>
    if (status === 0) granted.push(String(answer.lock_id))
    else if (answer.code !== 'LOCK_CONTENTION') findings.push(...findingsIn(status, answer, `${when}: ${words}`))
  }
  acquire(['while-full'], 'right after it was full')
  is(granted.length, 0, 'a full disk takes no entry')
  // LevelDB makes a table of the log that filled the disk; from then on a few KiB decide how far a command comes.
  truncateSync(ballast, 0)
  acquire(['with-room'], 'with room again')
  is(granted.length, 1, findings.join('; '))
  fillUp(ballast)
  for (let freeBytes = 0; freeBytes <= 40_960; freeBytes += bytesMore) {
    fillUp(rest)
    truncateSync(ballast, statSync(ballast).size - freeBytes)
    acquire([`at-${freeBytes}`], `${freeBytes} bytes free`)
    acquire(['--folder', one], `${freeBytes} bytes free`)
  }
  rmSync(ballast)
  rmSync(rest)
  equal(findings, [])
  ok(granted.length > 1, 'no free space was enough')
  for (const lock_id of granted) is(run(root, ['lock', 'release', lock_id]).status, 0)
  await tellsAndKeeps(root, askedIn(ended.lines))
}

/** What is missing from the document of a command that failed on a full disk. */
function findingsIn(status: number | null, answer: Record<string, unknown>, when: string): string[] {
  const { code, lock_id, outcome, retryable } = answer
  const isClear =
    status === 7 &&
    retryable === true &&
    (code === 'DISK_FULL' || (code === 'LEDGER_UNAVAILABLE' && (outcome === 'not_applied' || outcome === 'unknown'))) &&
    (outcome !== 'unknown' || /^lck_/.test(String(lock_id)))
  return isClear ? [] : [`${when}: exit ${status}, ${JSON.stringify(answer)}`]
}

/** All was answered or refused with its outcome; nothing answered is missing, nothing refused as not applied is there. */
async function tellsAndKeeps(root: string, asked: readonly Asked[]): Promise<void> {
  const ledger = await openLedger({ dir: root, actor: testActor })
  const met = await entriesOf(ledger)
  const refused = asked.filter((each) => each.refused !== undefined)
  ok(asked.some(({ answer }) => answer !== undefined) && refused.length > 0)
  for (const each of asked) is(missingFrom(met, each), undefined)
  for (const { ask, answer, refused } of asked) {
    ok(answer !== undefined || refused !== undefined, `neither answered nor refused: ${JSON.stringify(ask)}`)
    if (refused === undefined) continue
    is(refused.code, 'LEDGER_UNAVAILABLE')
    ok(['unknown', 'not_applied'].includes(refused.outcome ?? ''), `outcome ${refused.outcome}`)
    if (refused.outcome === 'not_applied') ok(!met.some((entry) => isOf(entry, ask)), JSON.stringify(ask))
  }
  ok(refused.some(({ refused }) => refused?.outcome === 'unknown'))
  is(asked.at(-1)?.refused?.outcome, 'not_applied', 'the next caller is told too')
  equal(unexplainedIn(root, met), [])
  await put(ledger, { do: 'audit', key: 'it goes on' })
  await ledger.close()
  await endsWithVerify(root)
}

function isOf({ data, request }: Entry, ask: Ask): boolean {
  if ('key' in ask) return request?.key === ask.key
  if ('run_id' in ask) return data.run_id === ask.run_id
  return 'lock_id' in ask && data.holder === `holder ${ask.lock_id}`
}

async function entriesOf(ledger: Ledger): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const entry of ledger.read()) entries.push(entry)
  return entries
}

function refusalOf(answer: Promise<unknown>): Promise<LockstepError> {
  return answer.then(
    (value) => Promise.reject(new Error(`answered: ${JSON.stringify(value)}`)),
    (error: LockstepError) => error,
  )
}

function linesOf(stdout: string) {
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

function run(root: string, words: string[]) {
  return spawnSync(process.execPath, [command, '--dir', root, '--json', ...words], { encoding: 'utf8' })
}

async function newRoot(root = temporaryRoot()): Promise<string> {
  makeDeliverables(root, folders)
  await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
  return root
}

/** Takes what space is left. */
function fillUp(path: string): void {
  for (const bytes of [65_536, 4_096]) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(bytes), { flag: 'a' })
    } catch {
      // Full, to within this many bytes.
    }
  }
}

function idOf(what: string): string {
  return `lck_fault-${what}`.padEnd(24, '_')
}
