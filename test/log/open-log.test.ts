// limit: 240
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, not, ok } from 'uvu/assert'
import type { Layout } from '../../src/disk/layout.ts'
import type { LockstepError } from '../../src/errors.ts'
import * as keys from '../../src/log/keyed/rows/keys.ts'
import type { Store } from '../../src/log/keyed/store.ts'
import { fingerprint, keepEvidence } from '../../src/log/level/files.ts'
import { writeOwner } from '../../src/log/level/owner/owner.ts'
import { built, contentsOf, filesIn } from '../support/damage.ts'
import { temporaryRoot, testActor } from '../support/ledger.ts'
import { closedLedger, evidenceIn, open, openOnce, refusalAt, refusalOf, size } from '../support/opening.ts'

const { openLedger } = await built<typeof import('../../src/open.ts')>('open.js')
const { openStore } = await built<typeof import('../../src/log/level/store.ts')>('log/level/store.js')

const opening = suite('opening a log')

/** Says the files are as they were closed, so that the next open does not doubt them. */
function trust({ ledger, owner }: Layout): void {
  writeOwner(owner, { state: 'closed', files: fingerprint(ledger) })
}

opening(
  'removes the evidence of processes that died while opening, in any namespace, and keeps evidence of damage',
  async () => {
    const layout = await closedLedger()
    for (const name of ['open-x', `${process.pid}-x`, 'damaged-1-x']) mkdirSync(join(layout.evidence, name))
    await openOnce(layout)
    equal(evidenceIn(layout), ['damaged-1-x'])
  },
)

for (const isDoubted of [false, true]) {
  const how = isDoubted ? 'that it doubts' : 'that it has no reason to doubt'
  opening(
    `of a database ${how} finds a gap among the entries of its log, and keeps the files as evidence`,
    async () => {
      const layout = await closedLedger()
      await deleteEntries(layout, [40, 170])
      if (isDoubted) rmSync(layout.owner)
      else trust(layout)
      const met = contentsOf(layout.ledger)
      const error = await refusalAt(layout)
      equal([error.code, error.details.seq], ['LEDGER_CORRUPT', 40])
      const evidence = String(error.details.evidence)
      equal(evidenceIn(layout), [evidence.slice(layout.evidence.length + 1)])
      equal(contentsOf(evidence), met)
      ok(error.hint?.includes(evidence))
      is(existsSync(layout.owner), false, 'the next open reads every byte')
    },
  )
}

/** Takes entries out of a database, and writes its log anew so that the others are still in it. */
async function deleteEntries({ ledger }: Layout, seqs: readonly number[]): Promise<void> {
  const store = await openStore(ledger, { create: false })
  const pairs: { key: Uint8Array; value: Uint8Array }[] = []
  for await (const page of store.scan(keys.ranges.all)) for (const [key, value] of page) pairs.push({ key, value })
  await store.write({ puts: pairs, deletes: seqs.map(keys.entryKey) })
  await store.close()
}

opening('that was refused is refused again and again, with one copy of each damage kept, of at most four', async () => {
  const layout = await closedLedger()
  await deleteEntries(layout, [40])
  const refusals: LockstepError[] = []
  for (let time = 0; time < 6; time += 1) refusals.push(await refusalAt(layout))
  for (const { code, details } of refusals) equal([code, details.seq], ['LEDGER_CORRUPT', 40])
  const kept = refusals.map(({ details }) => String(details.evidence))
  is(new Set(kept).size, 1)
  for (const seq of [39, 38, 37]) {
    await deleteEntries(layout, [seq])
    ok(!kept.includes(String((await refusalAt(layout)).details.evidence)), `${seq}`)
  }
  is(evidenceIn(layout).length, 4)
  await deleteEntries(layout, [36])
  const { details, hint } = await refusalAt(layout)
  equal([details.seq, details.evidence, evidenceIn(layout).length], [36, undefined, 4])
  match(String(hint), /copy \.lockstep yourself/)
})

opening('without CURRENT makes no empty database and deletes nothing', async () => {
  const layout = await closedLedger()
  const before = contentsOf(layout.ledger)
  rmSync(join(layout.ledger, 'CURRENT'))
  for (let time = 0; time < 2; time += 1) is((await refusalAt(layout)).code, 'LEDGER_CORRUPT')
  const { CURRENT = '', ...others } = before
  equal(contentsOf(layout.ledger), others)
  writeFileSync(join(layout.ledger, 'CURRENT'), Buffer.from(CURRENT, 'base64'))
  is(await openOnce(layout), size)
})

opening('of a database older than its head file is refused, of one newer than that is not', async () => {
  const layout = await closedLedger()
  const older = join(temporaryRoot(), 'head')
  copyFileSync(layout.head, older)
  const ledger = await openLedger({ dir: layout.root, actor: testActor })
  await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
  await ledger.close()
  const newer = readFileSync(layout.head, 'utf8')
  copyFileSync(older, layout.head)
  is(await openOnce(layout), size + 1)
  const ahead = { root: 'ab'.repeat(32), size: size + 2 }
  writeFileSync(layout.head, JSON.stringify({ ...JSON.parse(newer), reached: ahead }))
  const { code, details } = await refusalAt(layout)
  equal([code, details.head_size, details.size], ['LEDGER_CORRUPT', size + 2, size + 1])
  writeFileSync(layout.head, newer)
  is(await openOnce(layout), size + 1)
})

opening('that found damage while it was open does not let the next open trust the files', async () => {
  const layout = await closedLedger()
  let isDamaged = false
  const wrapStore = (store: Store): Store => ({
    ...store,
    get: (key) => (isDamaged ? Buffer.from('damaged') : store.get(key)),
  })
  const log = await open(layout, { wrapStore })
  isDamaged = true
  const read = async () => log.entry(3)
  is((await refusalOf(read())).code, 'LEDGER_CORRUPT')
  await log.close()
  is(existsSync(layout.owner), false)
})

opening('keeps a copy of a suspect database that later changes to its files do not affect', async () => {
  const { evidence, ledger } = await closedLedger()
  const met = contentsOf(ledger)
  const [copied, linked] = [true, false].map((isSuspect) =>
    keepEvidence(ledger, evidence, { isSuspect, nonce: String(isSuspect) }),
  )
  for (const file of filesIn(ledger)) writeFileSync(join(ledger, file), 'written over in place')
  equal(contentsOf(copied ?? ''), met)
  not.equal(contentsOf(linked ?? ''), met)
  equal(filesIn(linked ?? ''), Object.keys(met), 'and neither has LevelDB’s lock file')
})

opening.run()
