import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { type Layout, layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { lockstep } from '../support/command.ts'
import { temporaryRoot, testActor } from '../support/ledger.ts'

/** What is done to an open ledger, and then, once its handle is closed, to have a ledger in place again. */
interface Case {
  what: string
  change: (layout: Layout) => void
  putBack?: (layout: Layout) => void
  /** How many of the acknowledged entries the ledger has that is in place afterwards: all unless said otherwise. */
  kept?: 'all' | 'those of the copy'
  /** Whether another process can open the ledger that took the place while the handle is open. */
  takenOver?: true
}

const aside = ({ home }: Layout) => `${home}.aside`
const moveAside = (layout: Layout) => renameSync(layout.home, aside(layout))
const moveBack = (layout: Layout) => {
  rmSync(layout.home, { recursive: true, force: true })
  renameSync(aside(layout), layout.home)
}
const backup = ({ root }: Layout) => join(root, 'backup')

/** A copy of the folder as `cp -a` makes it, over what is there, without the record of its place. */
function copyOver(from: string, to: string): void {
  mkdirSync(to, { recursive: true, mode: 0o700 })
  is(spawnSync('cp', ['-a', `${from}/.`, to]).status, 0)
  rmSync(join(to, 'place'), { force: true })
}

const removeFiles = (pattern: RegExp) => (layout: Layout) => {
  mkdirSync(aside(layout))
  for (const name of readdirSync(layout.ledger)) {
    if (pattern.test(name)) renameSync(join(layout.ledger, name), join(aside(layout), name))
  }
}
const putFilesBack = (layout: Layout) => cpSync(aside(layout), layout.ledger, { recursive: true })

const cases: Case[] = [
  { what: 'moved away', change: moveAside, putBack: moveBack },
  {
    what: 'removed',
    change: ({ home }) => rmSync(home, { recursive: true }),
    putBack: (layout) => copyOver(backup(layout), layout.home),
    kept: 'those of the copy',
  },
  {
    what: 'replaced by a copy of itself',
    change: (layout) => {
      copyOver(layout.home, `${layout.home}.new`)
      moveAside(layout)
      renameSync(`${layout.home}.new`, layout.home)
    },
    takenOver: true,
  },
  {
    what: 'put back from a copy that was made while it was open',
    change: (layout) => copyOver(backup(layout), layout.home),
    kept: 'those of the copy',
  },
  {
    what: 'made a symbolic link',
    change: (layout) => {
      moveAside(layout)
      symlinkSync(aside(layout), layout.home)
    },
    putBack: moveBack,
  },
  { what: 'left without its write-ahead log', change: removeFiles(/\.log$/) },
  { what: 'left without its MANIFEST', change: removeFiles(/^MANIFEST/), putBack: putFilesBack },
  { what: 'left without CURRENT', change: removeFiles(/^CURRENT/), putBack: putFilesBack },
  { what: 'left without a table', change: removeFiles(/\.ldb$/), putBack: putFilesBack },
  { what: 'left without its owner file', change: ({ owner }) => rmSync(owner) },
]

const moved = suite('a ledger that is open')

for (const { what, change, putBack, kept = 'all', takenOver } of cases) {
  moved(`and is ${what} stops its writer before its next answer, and opens and verifies afterwards`, async () => {
    const layout = layoutOf(temporaryRoot())
    // A second session, so that there is a table beside the log.
    await (await openLedger({ dir: layout.root, actor: testActor, create: true, policy: false })).close()
    const ledger = await open(layout)
    const acknowledged = [await append(ledger)]
    copyOver(layout.home, backup(layout))
    const inCopy = acknowledged.length
    acknowledged.push(await append(ledger), await append(ledger))
    change(layout)
    await lastLookIsOld()

    equal(await refusalOf(append(ledger)), ['LEDGER_MOVED', 'not_applied'])
    if (takenOver) await granted(layout)
    const wanted = hold(ledger, { name: 'reports', holder: 'first' })
    equal(await refusalOf(wanted), ['LEDGER_MOVED', 'not_applied'])
    equal(await refusalOf(Promise.resolve().then(() => ledger.head.get())), ['LEDGER_MOVED', 'not_applied'])
    await ledger.close()

    putBack?.(layout)
    const again = await open(layout)
    await again.log.verify()
    const seqs = acknowledged.slice(0, kept === 'all' ? undefined : inCopy)
    for (const seq of seqs) is((await again.log.entry({ seq })).data.outcome_reason, 'acknowledged')
    const { token } = await hold(again, { name: 'other', holder: 'second' })
    is(token >= (await again.head.get()).size - 1, true)
    await again.close()
  })
}

moved('and is moved away and back without a write in between continues', async () => {
  const layout = layoutOf(temporaryRoot())
  await (await openLedger({ dir: layout.root, actor: testActor, create: true, policy: false })).close()
  const ledger = await open(layout)
  await append(ledger)
  moveAside(layout)
  moveBack(layout)
  await append(ledger)
  await ledger.close()
  const again = await open(layout)
  is((await again.log.verify()).entries, 3)
  await again.close()
})

moved.run()

/** A look of the last millisecond still counts before a write; the write is then found out after it. */
function lastLookIsOld(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5))
}

function open({ root }: Layout): Promise<LocalLedger> {
  return openLedger({ dir: root, actor: testActor, open_wait_s: 0 })
}

/** Appends an entry; its seq. */
async function append(ledger: LocalLedger): Promise<number> {
  const event = { action_type: 'system', outcome: 'success', outcome_reason: 'acknowledged' } as const
  await ledger.audit.append({ events: [event] })
  return (await ledger.head.get()).size - 1
}

async function refusalOf(asked: Promise<unknown>): Promise<unknown> {
  const outcome = await asked.then(
    () => 'it was answered',
    (error: unknown) => error,
  )
  return outcome instanceof LockstepError ? [outcome.code, outcome.details.outcome] : outcome
}

async function granted({ root }: Layout): Promise<void> {
  const words = ['--dir', root, 'lock', 'acquire', 'reports', '--holder', 'TASK', '--pid', String(process.pid)]
  const { status, stdout } = await lockstep([...words, '--open-wait', '0'])
  is(status, 0, stdout)
}
