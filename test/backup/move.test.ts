// limit: 120
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { type MoveSource, moveLedger } from '../../src/backup/move.ts'
import { folderTarget } from '../../src/backup/move-to-folder.ts'
import { governingLayout } from '../../src/disk/permissions.ts'
import { LockstepError } from '../../src/errors.ts'
import type { Row } from '../../src/kernel/decider.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import type { StoredEntry } from '../../src/log/free-texts.ts'
import { entryAt } from '../../src/log/tiles.ts'
import { verifyCheckpoint } from '../../src/verify.ts'
import { temporaryRoot } from '../support/ledger.ts'
import {
  append,
  becca,
  erase,
  filledLedger,
  goesOn,
  moved,
  opened,
  pairsOf,
  reading,
  refused,
  refusesCommands,
  secrets,
  sourceOf,
} from '../support/moving.ts'
import { withLog } from '../support/opened-log.ts'
import { remainsOf } from '../support/remains.ts'
import { asPlainError } from '../support/scene.ts'

const move = suite('a move to another folder')
const on = (title: string, work: () => Promise<void>) => move(title, () => work().catch(asPlainError))

on('keeps entries, views, name and key, and seals the old place', async () => {
  const { root } = await filledLedger()
  const kept = await reading(root, (ledger) => ledger.head.signed())
  const to = join(temporaryRoot(), 'moved')
  const { checkpoint, size } = await moved(root, to)
  is(size, kept.size + 1)
  // Both places have the same bytes, index apart: it is derived when it is used.
  const [old, next] = [await pairsOf(root), await pairsOf(to)]
  equal(
    [...next.keys()],
    [...old.keys()].filter((key) => !key.startsWith('x')),
  )
  for (const [key, value] of next) is(value, old.get(key), key)

  for (const dir of [root, to]) {
    await reading(dir, async (ledger) => {
      is((await ledger.head.signed({ size: kept.size })).checkpoint, kept.checkpoint)
      is((await ledger.head.signed({ size })).checkpoint, checkpoint)
      ok((await verifyCheckpoint(checkpoint, kept.vkey)).ok)
      is((await ledger.log.consistency({ from: kept.size, to: size })).from_root, kept.root)
    })
  }
  await refusesCommands(root)
  await goesOn(to, size)
})

on('and back extends the folder that it had left', async () => {
  const { root: home } = await filledLedger()
  const away = temporaryRoot()
  const first = await moved(home, away)
  await goesOn(away, first.size)
  const second = await moved(away, home)
  await refusesCommands(away)
  await goesOn(home, second.size)
  await reading(home, async (ledger) => {
    is((await ledger.head.signed({ size: first.size })).checkpoint, first.checkpoint)
  })
  // And there once more: each place keeps its name.
  const third = await moved(home, away)
  is(third.to, first.to)
  await goesOn(away, third.size)
  await refusesCommands(home)
})

on('takes along what others append and erase meanwhile', async () => {
  const { body, root } = await filledLedger()
  const ledger = await opened(root)
  const spoken = { run_id: 'run_spoken_1' }
  await ledger.runs.create({ ...spoken, notes: 'what nobody may read', run_kind: 'orchestrator' })
  let copies = 0
  const { snapshot } = sourceOf(root)
  const source: MoveSource = {
    root,
    snapshot: async () => {
      copies += 1
      // Its text is in the first copy.
      if (copies === 2) {
        await erase(ledger, [body])
        const { approval_id } = await ledger.erasures.approve({ actor: becca, reason: 'secret_leaked', texts: spoken })
        await ledger.erasures.erase({ actor: { actor_id: 'ann', actor_type: 'human' }, approval_id, texts: true })
      }
      if (copies <= 4) await append(ledger, 3_000)
      return snapshot()
    },
    seal: (to) => ledger.log.seal({ actor: becca, to }),
  }
  const to = temporaryRoot()
  const { size } = await moveLedger(source, folderTarget(to, governingLayout(root)))
  ok(copies >= 5, `${copies} copies`)
  await ledger.close()
  await goesOn(to, size)
  for (const text of [...Object.values(secrets), 'what nobody may read']) equal(await remainsOf(to, text), [])
})

on('that is abandoned before the seal changes nothing, and a later move completes it', async () => {
  const { root } = await filledLedger()
  const to = temporaryRoot()
  const failing = { ...sourceOf(root), seal: () => Promise.reject(new LockstepError('ABORTED', 'killed')) }
  await refused(moveLedger(failing, folderTarget(to, governingLayout(root))), 'ABORTED')
  is(existsSync(join(to, '.lockstep')), false)
  const { size } = await reading(root, (ledger) => ledger.head.get())
  await goesOn(root, size)
  await goesOn(to, (await moved(root, to)).size)
})

on('is refused to a third place, to another ledger, and to where the ledger is', async () => {
  const [{ root }, { root: other }] = [await filledLedger(20), await filledLedger(20)]
  await refused(moved(root, other), 'LEDGER_EXISTS')
  await refused(moved(root, root), 'LEDGER_EXISTS')
  const to = temporaryRoot()
  const { size } = await moved(root, to)
  await refused(moved(root, temporaryRoot()), 'LEDGER_SEALED')
  // The same move again finds it complete.
  is((await moved(root, to)).size, size)
  await goesOn(to, size)
})

on('leaves a place in which verify finds whatever follows the seal', async () => {
  const { root } = await filledLedger(20)
  const { size } = await moved(root, temporaryRoot())
  await withLog(root, async (log) => {
    const [stored] = (await log.load([{ view: 'stored', key: size - 2 }])) as [StoredEntry]
    const before = JSON.parse(stored.text) as Entry
    const time = (await entryAt(log, size - 1))?.time ?? ''
    const entry = {
      ...before,
      event_id: before.event_id.replace(/\d+$/, String(size)),
      prev: { stream: size - 2 },
      seq: size,
      time,
    }
    const state = (await log.load([{ view: 'row', key: entry.stream }])) as [Row]
    const row = { ...(state[0] as Row), last_seq: size }
    await log.append(
      { size },
      [{ ...stored, entry, text: JSON.stringify(entry) }],
      [{ view: 'row', key: entry.stream, value: row }],
      {},
    )
  })
  const error = await refused(
    reading(root, (ledger) => ledger.log.verify()),
    'VERIFY_FAILED',
  )
  equal([error.details.check, error.details.seq], ['seal', size], error.message)
})

move.run()
