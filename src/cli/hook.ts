import type { Command } from 'commander'
import { gitVerb } from './hook-git.ts'
import { noun } from './verb.ts'

export function hookCommand(asked?: string): Command {
  return noun('hook', { git: gitVerb }, asked, ['lockstep hook git --install', 'lockstep hook git --uninstall'])
}
