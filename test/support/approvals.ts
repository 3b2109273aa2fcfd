import { join } from 'node:path'
import type { ApproveExport, CreatedExport, CreateExport } from '../../src/api/shapes/exports.ts'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { caseWork } from './case-work.ts'
import { governed } from './exports.ts'
import { temporaryRoot, testActor, testClock } from './ledger.ts'
import { asPlainError } from './scene.ts'

export const human = (actor_id: string) => ({ actor_id, actor_type: 'human' }) as const
export const select = { run_id: 'run_top_1' }

/** A ledger in memory with a run to export, and a clock that stands still. */
export interface Desk {
  clock: ReturnType<typeof testClock>
  ledger: LocalLedger
  /** Approves the run, and answers with the approval_id. */
  approve: (by: string, approval_type: ApproveExport['approval_type'], more?: Partial<ApproveExport>) => Promise<string>
  export: (approvals: string[], more?: Partial<CreateExport>) => Promise<CreatedExport>
  /** The rules that an export breaks. It must be denied, and the deny must be on record with these rules. */
  broken: (approvals: string[], more?: Partial<CreateExport>) => Promise<string[]>
}

export async function withDesk(config: Record<string, unknown>, work: (desk: Desk) => Promise<void>): Promise<void> {
  // The first entries have the time of the machine, and the clock of the ledger never goes back.
  const clock = testClock(Date.now() + 60_000)
  const folder = temporaryRoot()
  const dir = caseWork(temporaryRoot())
  const options = { actor: testActor, config, dir, engine: 'memory' as const, now: clock.now, self_check: true }
  const ledger = await openLedger(options)
  let bundles = 0
  const made = (approvals: string[], more: Partial<CreateExport> = {}) => {
    bundles += 1
    return ledger.exports.create({ ...governed, approvals, file: join(folder, `${bundles}.tar.gz`), select, ...more })
  }
  const run = async () => {
    await ledger.runs.create({ ...select, case_id: 'CASE-17', run_kind: 'orchestrator' })
    await ledger.runs.start(select)
    await ledger.runs.complete({ ...select, outcome_reason: 'done' })
    await work({
      clock,
      ledger,
      approve: async (by, approval_type, more = {}) => {
        const approved = await ledger.exports.approve({ actor: human(by), approval_type, select, ...more })
        return approved.approval_id
      },
      export: made,
      broken: async (approvals, more) => {
        const error = await made(approvals, more).then(
          () => undefined,
          (caught: unknown) => caught,
        )
        if (!(error instanceof LockstepError) || error.code !== 'RUN_DENIED') throw error ?? new Error('it was allowed')
        const denied = await ledger.runs.why({ run_id: String(error.details.run_id) })
        return denied.denied?.rule_ids ?? []
      },
    })
    await ledger.log.verify()
  }
  await run()
    .catch(asPlainError)
    .finally(() => ledger.close())
}
