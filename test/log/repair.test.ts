// limit: 180
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { type Layout, layoutOf } from '../../src/disk/layout.ts'
import { lockstep } from '../support/command.ts'
import { built, contentsOf, copyFiles } from '../support/damage.ts'
import { deadPid } from '../support/deliverable.ts'
import { copyLedger, temporaryRoot, testActor } from '../support/ledger.ts'
import { closedLedger, evidenceIn, open, openOnce, refusalAt, size } from '../support/opening.ts'

const { openLedger } = await built<typeof import('../../src/open.ts')>('open.js')
const repair = suite('doctor --repair')
const whole = await closedLedger()

/** A copy of a closed ledger with a kept database beside it. */
function ledgerWith(kept: string, change: (ledger: string) => void = () => {}): Layout {
  const layout = layoutOf(temporaryRoot())
  copyLedger(whole.home, layout.home)
  copyFiles(kept, join(layout.evidence, 'damaged-1-x'))
  change(layout.ledger)
  return layout
}

const run = ({ root }: Layout) => lockstep(['--dir', root, 'doctor', '--repair'])

const logOf = (folder: string) => join(folder, readdirSync(folder).find((name) => name.endsWith('.log')) ?? '')
const flip = (path: string) => {
  const bytes = readFileSync(path)
  bytes[1_000] = (bytes[1_000] as number) ^ 1
  writeFileSync(path, bytes)
}

for (const [what, change] of [
  ['has a damaged log', (ledger) => flip(logOf(ledger))],
  ['lost its log', (ledger) => rmSync(logOf(ledger))],
  ['lost CURRENT', (ledger) => rmSync(join(ledger, 'CURRENT'))],
  ['is gone', (ledger) => rmSync(ledger, { recursive: true })],
] as [string, (ledger: string) => void][]) {
  repair(`puts a kept database that verifies back where the one in place ${what}`, async () => {
    const layout = ledgerWith(whole.ledger, change)
    is((await refusalAt(layout)).code, 'LEDGER_CORRUPT')
    const { json, status } = await run(layout)
    is(status, 0, JSON.stringify(json))
    is((json.put_back as { size: number }).size, size)
    is(await openOnce(layout), size)
  })
}

repair('keeps the files that it replaces', async () => {
  const layout = ledgerWith(whole.ledger, (ledger) => flip(logOf(ledger)))
  const damaged = readFileSync(logOf(layout.ledger))
  const { json } = await run(layout)
  const aside = String(json.set_aside)
  ok(evidenceIn(layout).includes(basename(aside)))
  equal(readFileSync(join(aside, basename(logOf(layout.ledger)))), damaged)
  is(await openOnce(layout), size)
})

repair('puts back a later state of the database in place, and never an earlier one or another database', async () => {
  const layout = await closedLedger()
  const earlier = temporaryRoot()
  copyFiles(layout.ledger, earlier)
  const ledger = await openLedger({ dir: layout.root, actor: testActor })
  await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
  await ledger.close()
  // As a process leaves it that was killed before it could put the files back.
  const kept = join(layout.evidence, `${deadPid()}-x`)
  copyFiles(layout.ledger, kept)
  copyFiles(whole.ledger, join(layout.evidence, 'damaged-2-x'))
  const restore = (from: string) => {
    rmSync(layout.ledger, { recursive: true })
    copyFiles(from, layout.ledger)
  }
  restore(earlier)
  is((await refusalAt(layout)).code, 'LEDGER_CORRUPT')
  is(((await run(layout)).json.put_back as { path: string }).path, kept)
  is(await openOnce(layout), size + 1)
  rmSync(kept, { recursive: true, force: true })
  copyFiles(earlier, kept)
  is((await run(layout)).json.put_back, undefined)
  restore(whole.ledger)
  is((await run(layout)).status, 6, 'a whole database of another ledger is no reason for an earlier state of this one')
})

repair('changes nothing where the database in place verifies, whatever was kept', async () => {
  const layout = ledgerWith(whole.ledger)
  const before = contentsOf(layout.ledger)
  const { json, status } = await run(layout)
  is(status, 0)
  is(json.put_back, undefined)
  equal(contentsOf(layout.ledger), before)
  is(await openOnce(layout), size)
})

repair('does not put back a database that does not verify or is behind the head file', async () => {
  const layout = ledgerWith(whole.ledger, (ledger) => flip(logOf(ledger)))
  flip(logOf(join(layout.evidence, 'damaged-1-x')))
  const before = contentsOf(layout.ledger)
  const first = await run(layout)
  equal([first.status, first.json.code], [6, 'LEDGER_CORRUPT'])
  match(String(first.json.message), 'nothing was restored')
  equal(contentsOf(layout.ledger), before)
  copyFiles(whole.ledger, join(layout.evidence, 'damaged-1-x'))
  const head = readFileSync(layout.head, 'utf8')
  const ahead = { root: 'ab'.repeat(32), size: size + 1 }
  writeFileSync(layout.head, JSON.stringify({ ...JSON.parse(head), reached: ahead }))
  is((await run(layout)).status, 6)
  equal(contentsOf(layout.ledger), before)
  writeFileSync(layout.head, head)
  is((await run(layout)).status, 0)
  is(await openOnce(layout), size)
})

repair('does not wait: a ledger that a process has open is refused', async () => {
  const layout = ledgerWith(whole.ledger)
  const log = await open(layout)
  const { json, status } = await run(layout)
  equal([status, json.code, json.owner_pid], [7, 'LEDGER_UNAVAILABLE', process.pid])
  await log.close()
  is(await openOnce(layout), size)
})

repair.run()
