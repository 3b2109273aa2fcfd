// limit: 240
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { changed, pack, resealed, spread, unpack } from '../support/bundle.ts'
import { temporaryRoot, withLedger } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'
import { verifyBundle } from '../support/second-verifier.ts'
import { until } from './stage.ts'

const long = suite('the bundle of a tree of 10,000 entries')
const treeEntries = 10_000
/** So many bytes are changed; each change costs a verification. */
const parts = Number(process.env.LOCKSTEP_ROUNDS ?? 12)
const governed = {
  actor: { actor_id: 'lawyer-1', actor_type: 'human' },
  lane_id: 'EXPORT_CASE_DATA',
  role_id: 'ATTORNEY_ADMIN',
  scope: { case_id: 'CASE-17', export_reason: 'asked for' },
  select: { run_id: 'run_top_1' },
} as const

/** Runs below one another, with events by their programs; entries of others in between. */
async function grow({ audit, runs }: LocalLedger): Promise<void> {
  let parent: string | undefined
  let entries = 0
  for (let index = 1; entries < treeEntries; index += 1) {
    const run_id = `run_top_${index}`
    await runs.create({ case_id: 'CASE-17', parent_run_id: parent, run_id, run_kind: 'orchestrator' })
    await runs.start({ run_id })
    const count = Math.min(997, treeEntries - entries - 3)
    const event = { action_type: 'system', outcome: 'success', run_id } as const
    await audit.append({
      events: Array.from({ length: count }, (_, at) => ({ ...event, outcome_reason: `step_${at}` })),
    })
    await audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
    entries += count + 3
    parent = index % 3 === 0 ? 'run_top_1' : run_id
  }
}

async function failedCheck(path: string, vkey?: string): Promise<string> {
  const error = await verifyExport(path, vkey === undefined ? { unauthenticated: true } : { vkey }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  assert.instance(error, LockstepError, `${path} verifies`)
  assert.is((error as LockstepError).code, 'VERIFY_FAILED')
  return String((error as LockstepError).details.check)
}

const lines = (change: (all: string[]) => string[]) => (text: string) =>
  `${change(text.trimEnd().split('\n')).join('\n')}\n`

long('is the same bytes twice, whole, and found out wherever it is changed', async () => {
  const folder = temporaryRoot()
  const place = (name: string) => join(folder, name)
  await withLedger(
    async (ledger, root) => {
      await grow(ledger).catch(asPlainError)
      const { size } = await ledger.head.get()
      const first = await ledger.exports.create({ ...governed, file: place('first.tar.gz') })
      const second = await ledger.exports.create({ ...governed, file: place('second.tar.gz'), size })
      const bytes = readFileSync(first.file)
      assert.ok(bytes.equals(readFileSync(second.file)))
      const vkey = readFileSync(join(root, '.lockstep/key.pub'), 'utf8')
      assert.is((await verifyExport(first.file, { vkey })).proven.entries, treeEntries)
      assert.is(verifyBundle(first.file, vkey).length, treeEntries)

      // One byte in each part of the archive, and each of its ends.
      const step = Math.floor(bytes.length / parts)
      for (const at of [...Array.from({ length: parts }, (_, part) => part * step + (part % step)), bytes.length - 1]) {
        const flipped = Buffer.from(bytes)
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
        writeFileSync(place('flipped.tar.gz'), flipped)
        assert.is(await failedCheck(place('flipped.tar.gz')), 'archive', `byte ${at}`)
      }

      const files = unpack(first.file)
      const other = spread(files, place('unpacked'))
      const changes: [name: string, change: (text: string) => string][] = [
        ['entries.jsonl', lines((all) => all.filter((_, at) => at !== 5_000))],
        [
          'entries.jsonl',
          lines((all) => all.map((line, at) => all[at === 4_000 ? 4_001 : at === 4_001 ? 4_000 : at] ?? line)),
        ],
        ['entries.jsonl', lines((all) => all.slice(0, -1))],
        ['entries.jsonl', (text) => text.slice(0, -100)],
        ['proofs/inclusion.jsonl', lines((all) => all.slice(1))],
        ['manifest.json', (text) => text.replace('internal_review', 'other')],
      ]
      for (const [name, change] of changes) {
        const wrong = changed(files, name, change)
        writeFileSync(join(other, name), wrong.get(name) ?? '')
        assert.is(await failedCheck(other, vkey), 'statement', name)
        writeFileSync(join(other, name), files.get(name) ?? '')
        // By the owner of the key too.
        const sealed = await failedCheck(await pack(resealed(wrong, root), place('sealed.tar.gz')), vkey)
        assert.match(sealed, /^(?:entries|manifest|proofs)$/, name)
      }
      await withLedger(async (_, elsewhere) => {
        const other = readFileSync(join(elsewhere, '.lockstep/key.pub'), 'utf8')
        assert.is(await failedCheck(first.file, other), 'key')
      })
    },
    { policy: true },
  )
})

long('leaves no file where its run is ended while it is written', async () => {
  const folder = temporaryRoot()
  await withLedger(
    async (ledger) => {
      await grow(ledger).catch(asPlainError)
      const file = join(folder, 'first.tar.gz')
      const writing = ledger.exports.create({ ...governed, file }).then(
        () => 'written',
        ({ code }: LockstepError) => code,
      )
      await until('it writes', () => readdirSync(folder).some((name) => name.startsWith('.lockstep-export-')))
      const [run] = (await ledger.runs.list({ run_kind: 'export', status: 'running' })).runs
      assert.ok(run?.lease, 'it has a lease')
      await ledger.runs.cancel({
        run_id: run?.run_id ?? '',
        outcome_reason: 'not now',
        actor: { actor_id: 'BECCA', actor_type: 'human' },
      })
      assert.is(await writing, 'RUN_NOT_ACTIVE')
      assert.equal(readdirSync(folder), [])
      const [acted] = (await ledger.audit.list({ run_id: run?.run_id ?? '', action_type: 'export' })).events
      assert.equal([acted?.outcome, acted?.outcome_reason], ['failure', 'unrecorded'])
    },
    { policy: true },
  )
})

long.run()
