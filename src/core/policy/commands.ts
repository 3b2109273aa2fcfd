import type { Command } from '../decider.ts'
import type { LoadedFile } from './events.ts'

/** Puts two files in force that were read, found good and kept. */
export interface LoadPolicy extends Command {
  type: 'policy.load'
  lanes: LoadedFile
  roles: LoadedFile
}
export type PolicyCommand = LoadPolicy
