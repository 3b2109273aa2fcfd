import * as z from 'zod'
import { line, runIdSchema } from '../../kernel/vocabulary.ts'

/**
 * Files of a turn were or will be removed: from the staging folder that Lockstep owns, as configured, or from a
 * caller's directory, if the caller requested it and the files are staged.
 */
export const stagingEventSchemas = {
  'turn.staging_cleaned': z.strictObject({
    bytes: z.int().min(0),
    files: z.int().min(0),
    reason: z.enum(['consumed', 'promoted', 'run_ended']),
    run_id: runIdSchema,
    turn_id: line,
  }),
} as const

export type StagingCleaned = z.infer<(typeof stagingEventSchemas)['turn.staging_cleaned']>
