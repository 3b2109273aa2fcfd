import type { Command } from '../../kernel/decider.ts'
import type { LoadedFile } from './events.ts'

/** Puts two policy files in force that were read, checked and stored. */
export interface LoadPolicy extends Command {
  type: 'policy.load'
  lanes: LoadedFile
  roles: LoadedFile
}
export type PolicyCommand = LoadPolicy
