import type { Command } from '../../kernel/decider.ts'
import type { LoadedFile } from './events.ts'

/** Puts two policy files in force that were read, checked and stored. */
export interface LoadPolicy extends Command {
  type: 'policy.load'
  lanes: LoadedFile
  roles: LoadedFile
}

/** Asks only whether the caller may put a policy in force. It is made if the files cannot be used. */
interface AskToLoad extends Command {
  type: 'policy.load'
  lanes: null
  roles: null
}
export type PolicyCommand = LoadPolicy | AskToLoad
