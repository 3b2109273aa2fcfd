import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { create as createShape } from '../../src/api/shapes/exports.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import type { BegunExport } from '../../src/nouns/exports/export-plan.ts'
import { verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { openLedger } from '../../src/open.ts'
import { openWithCaseWork } from '../support/case-work.ts'
import { deadPid } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'

const left = suite('an export whose process died')

/** A folder for a bundle, and an export into it as far as a test takes it before its process "dies". */
async function leave(steps: (ledger: LocalLedger, begun: BegunExport) => Promise<void>) {
  const [root, folder] = [temporaryRoot(), temporaryRoot()]
  const file = join(folder, 'bundle.tar.gz')
  const ledger = await openWithCaseWork({ dir: root, actor: testActor })
  await ledger.audit.append({
    events: Array.from({ length: 20 }, () => ({ action_type: 'system', outcome: 'success' }) as const),
  })
  const begun = await ledger.exporting.begin(
    createShape.parse({
      actor: { actor_id: 'lawyer-1', actor_type: 'human' },
      file,
      lane_id: 'EXPORT_CASE_DATA',
      role_id: 'ATTORNEY_ADMIN',
      scope: { case_id: 'CASE-17', export_reason: 'asked for' },
      select: { from: 0, to: 9 },
    }),
  )
  await steps(ledger, begun)
  await ledger.close()
  return { file, folder, notes: layoutOf(root).exports, root, run_id: begun.run_id }
}

/** Makes a note say that its process was another one. */
function blame(notes: string, evidence: Record<string, unknown>): void {
  for (const name of readdirSync(notes)) {
    const note = JSON.parse(readFileSync(join(notes, name), 'utf8'))
    writeFileSync(join(notes, name), JSON.stringify({ ...note, evidence: { ...note.evidence, ...evidence } }))
  }
}

async function statusAfterOpen(root: string, run_id: string): Promise<string> {
  const ledger = await openLedger({ dir: root, actor: testActor })
  const { status } = await ledger.runs.get({ run_id })
  await ledger.close()
  await endsWithVerify(root)
  return status
}

const cuts: [string, (ledger: LocalLedger, begun: BegunExport) => Promise<void>][] = [
  ['before anything was written', async () => {}],
  ['while it was written', async (_, { files }) => files.makeSpool()],
  ['once it had its names', async ({ exporting }, begun) => void (await exporting.write(begun))],
]

for (const [when, steps] of cuts) {
  left(`${when} is ended at the next open: its run fails, and nothing of it is left`, async () => {
    const { folder, notes, root, run_id } = await leave((ledger, begun) => steps(ledger, begun).catch(asPlainError))
    is(await statusAfterOpen(root, run_id), 'running', 'this process is not dead')
    blame(notes, { pid: deadPid() })
    is(await statusAfterOpen(root, run_id), 'failed')
    equal([readdirSync(folder), readdirSync(notes)], [[], []])
  })
}

left('once it was recorded is completed, and its files stay', async () => {
  const { file, notes, root, run_id } = await leave(async ({ exporting, runs }, begun) => {
    const written = await exporting.write(begun)
    runs.complete = () => Promise.reject(new LockstepError('LEDGER_UNAVAILABLE', 'died'))
    is(await exporting.finish(begun, written).then(() => 'finished', String), 'LockstepError: died')
  })
  blame(notes, { pid: deadPid() })
  is(await statusAfterOpen(root, run_id), 'completed')
  is((await verifyExport(file, { unauthenticated: true })).proven.entries, 10)
  ok(existsSync(`${file}.json`))
  equal(readdirSync(notes), [])
})

left('as far as anybody can tell is not ended where that is not known, but with its run', async () => {
  const { folder, notes, root, run_id } = await leave(
    async ({ exporting }, begun) => void (await exporting.write(begun)),
  )
  blame(notes, { host_id: 'elsewhere' })
  is(await statusAfterOpen(root, run_id), 'running')
  is(readdirSync(folder).length, 3)
  const ledger = await openLedger({ dir: root, actor: { actor_id: 'lawyer-1', actor_type: 'human' } })
  await ledger.runs.cancel({ run_id, outcome_reason: 'enough' })
  await ledger.close()
  is(await statusAfterOpen(root, run_id), 'cancelled')
  equal([readdirSync(folder), readdirSync(notes)], [[], []])
})

left('leaves files that are not its own: under its names, in its spool, and notes that are none', async () => {
  const { file, folder, notes, root, run_id } = await leave(
    async ({ exporting }, begun) => void (await exporting.write(begun)),
  )
  rmSync(file)
  writeFileSync(file, 'of somebody')
  const spool = join(folder, readdirSync(folder).find((name) => name.startsWith('.lockstep-export-')) ?? '')
  writeFileSync(join(spool, 'other'), 'of somebody')
  writeFileSync(join(notes, 'none'), '{}')
  mkdirSync(join(folder, 'bundle.tar.gz.tmp'))
  blame(notes, { pid: deadPid() })
  writeFileSync(join(notes, 'none'), '{}')
  is(await statusAfterOpen(root, run_id), 'failed')
  equal(readFileSync(file, 'utf8'), 'of somebody')
  equal(readdirSync(folder).sort(), [spool.slice(folder.length + 1), 'bundle.tar.gz', 'bundle.tar.gz.tmp'].sort())
  equal([readdirSync(spool), readdirSync(notes)], [['other'], ['none']])
})

left('never wrote over a file that came while it was written', async () => {
  for (const taken of ['bundle.tar.gz', 'bundle.tar.gz.json']) {
    const { folder, notes, root, run_id } = await leave(async ({ exporting }, begun) => {
      writeFileSync(join(begun.files.file, '..', taken), 'of somebody')
      const error = await exporting.write(begun).catch((error: unknown) => exporting.fail(begun, error).catch(String))
      ok(String(error).includes('already exists'), String(error))
    })
    is(await statusAfterOpen(root, run_id), 'failed')
    equal([readdirSync(folder), readdirSync(notes)], [[taken], []])
    is(readFileSync(join(folder, taken), 'utf8'), 'of somebody')
  }
})

left.run()
