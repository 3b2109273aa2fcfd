import * as z from 'zod'
import type { Command, Decision } from '../../kernel/decider.ts'
import { line, runIdSchema } from '../../kernel/vocabulary.ts'

/**
 * Files of a turn were or will be removed: from the staging folder that Lockstep owns, as configured, or from a
 * caller's directory, if the caller requested it and the files are staged.
 */
export const stagingCleanedSchema = z.strictObject({
  bytes: z.int().min(0),
  files: z.int().min(0),
  reason: z.enum(['consumed', 'promoted', 'run_ended']),
  run_id: runIdSchema,
  turn_id: line,
})
export type StagingCleaned = z.infer<typeof stagingCleanedSchema>

export interface CleanStaging extends Command {
  type: 'staging.clean'
  data: StagingCleaned
}

/**
 * The stream of the cleanups of one run. They are facts about files and do not change promoted state. They can follow
 * the end of the run, when nothing more can be appended to the stream of the run.
 */
export function stagingStreamOf(runId: string): string {
  return `staging/${runId}`
}

export function decideClean({ data }: CleanStaging): Decision {
  return { kind: 'append', events: [{ type: 'turn.staging_cleaned', stream: stagingStreamOf(data.run_id), data }] }
}
