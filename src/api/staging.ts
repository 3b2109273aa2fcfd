import * as z from 'zod'
import { ofTurnSchema } from '../domain/turn/commands.ts'
import { anyGrant, type CallOptions, type Operations } from './operation.ts'
import { path } from './shapes/basics.ts'

const ofTurn = ofTurnSchema
export interface StagingOfTurn extends z.input<typeof ofTurn> {}

const consume = ofTurnSchema.extend({ directory: path })
export interface ConsumeStaging extends z.input<typeof consume> {}

const folder = z.strictObject({ folder: z.string() })
export interface StagingFolder extends z.output<typeof folder> {}

const consumed = z.strictObject({ bytes: z.int().min(0), files: z.int().min(0) })
/** The files that were removed, and their size. */
export interface ConsumedStaging extends z.output<typeof consumed> {}

/** Staging: the files on the machine of the ledger that turns are staged from. */
export interface StagingApi {
  /** The folder for the files of a turn that Lockstep owns, and cleans up as configured. */
  folder(input: StagingOfTurn, options?: CallOptions): Promise<StagingFolder>
  /** Removes the files that the turn holds as staged or promoted from a directory, and no others. Cost: one append. */
  consume(input: ConsumeStaging, options?: CallOptions): Promise<ConsumedStaging>
}

export const staging: Operations<StagingApi> = {
  folder: {
    kind: 'query',
    summary: 'Shows the folder that Lockstep owns for the files of a turn.',
    input: ofTurn,
    output: folder,
    errors: [],
    grants: anyGrant,
  },
  consume: {
    kind: 'command',
    summary: 'Removes files that a turn holds from a directory.',
    input: consume,
    output: consumed,
    errors: ['NOT_FOUND', 'FILE_DENIED', 'FILE_FAILED', 'FILE_READ_ONLY'],
    grants: ['agent', 'operator'],
  },
}
