import * as z from 'zod'
import { line, runIdSchema } from '../vocabulary.ts'

/**
 * Files of a turn were removed, or are about to be: those in the staging folder that Lockstep owns, as its policy has
 * it, or those in a caller's directory, because the caller asked for it and they are staged.
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
