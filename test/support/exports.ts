import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'uvu'
import * as assert from 'uvu/assert'
import type { CreatedExport, CreateExport } from '../../src/api/shapes/exports.ts'
import { LockstepError } from '../../src/errors.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { perform } from '../../src/nouns/runs/performing.ts'
import { openLedger } from '../../src/open.ts'
import { temporaryRoot, testActor, withLedger } from './ledger.ts'
import { asPlainError, configure } from './scene.ts'

/** Who exports, why, and under which lane. */
export const lawyer = { actor_id: 'lawyer-1', actor_type: 'human' } as const
export const scope = { case_id: 'CASE-17', export_reason: 'asked for by the court' }
export const governed = { actor: lawyer, lane_id: 'EXPORT_CASE_DATA', role_id: 'ATTORNEY_ADMIN', scope } as const
const action = {
  action_type: 'tool_call',
  lane_id: 'TOOL_INTERVIEW_CAPTURE',
  target: { name: 'dictation.start' },
} as const

/** A ledger to export from, and where its bundles go. */
interface Stage {
  ledger: LocalLedger
  root: string
  vkey: string
  create: (select: CreateExport['select'], more?: Partial<CreateExport>) => Promise<CreatedExport>
  place: (name: string) => string
}

/** A ledger with locks, a tree of runs of one case and a run of another; bundles go to a folder of their own. */
export function bundlesIn(on: Test) {
  return (title: string, work: (stage: Stage) => Promise<void>, config: Record<string, unknown> = {}) =>
    on(title, async () => {
      const folder = temporaryRoot()
      let bundles = 0
      await withLedger(
        async (made, root) => {
          await made.close()
          await configure(root, config)
          const ledger = await openLedger({ dir: root, actor: testActor, self_check: true })
          await fill(ledger).catch(asPlainError)
          const place = (name: string) => join(folder, name)
          const create: Stage['create'] = (select, more = {}) => {
            bundles += 1
            return ledger.exports.create({ ...governed, file: place(`${bundles}.tar.gz`), select, ...more })
          }
          const vkey = readFileSync(join(root, '.lockstep/key.pub'), 'utf8')
          await work({ create, ledger, place, root, vkey })
            .catch(asPlainError)
            .finally(() => ledger.close())
        },
        { policy: true },
      )
    })
}

/** Everything that the bundles hold. */
async function fill(ledger: LocalLedger): Promise<void> {
  const { runs } = ledger
  const top = { run_id: 'run_top_1' }
  await runs.create({ ...top, case_id: 'CASE-17', run_kind: 'orchestrator' })
  await runs.start(top)
  const { lock_id } = await hold(ledger, { name: 'reports', holder: 'agent-1' })
  const request = { action: { ...action, scope: { case_id: 'CASE-17', client_session_id: 's-1' } } }
  const below = { case_id: 'CASE-17', parent_run_id: top.run_id, role_id: 'INTERVIEW_AGENT' }
  for (let index = 0; index < 3; index += 1) await perform(ledger, { ...request, ...below }, () => 'done')
  await ledger.locks.renew({ lock_id })
  await runs.create({ case_id: 'CASE-18', run_id: 'run_of_18', run_kind: 'orchestrator' })
  await ledger.locks.release({ lock_id })
  await runs.complete({ ...top, outcome_reason: 'done' })
}

/** The check that a bundle fails. */
export async function failedCheck(path: string, vkey?: string): Promise<string> {
  try {
    await verifyExport(path, vkey === undefined ? { unauthenticated: true } : { vkey })
  } catch (error) {
    assert.instance(error, LockstepError)
    assert.is((error as LockstepError).code, 'VERIFY_FAILED', (error as LockstepError).message)
    return String((error as LockstepError).details.check)
  }
  throw new Error(`${path} verifies`)
}

/** The code that a call is refused with. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(() => undefined).catch((caught: unknown) => caught)
  assert.instance(error, LockstepError)
  return (error as LockstepError).code
}
