import type { Entry } from '../../kernel/entry.ts'
import type { LoadedFile, PolicyEventData } from './events.ts'

/** The facts of a pin: the SHA, its source, and the SHA-256 of the content that it stands for. */
export type LoadedPin = Pick<LoadedFile, 'pin' | 'sha256' | 'source'>

/** The policy in force: its pins, and the entry that loaded it. */
export interface PolicyState {
  lanes: LoadedPin
  roles: LoadedPin
  seq: number
}

/** Returns the next state. It applies the event without checking it. */
export function evolve(state: PolicyState | undefined, entry: Entry): PolicyState | null {
  if (entry.type !== 'policy.loaded') return state ?? null
  const { lanes, roles } = entry.data as PolicyEventData<'policy.loaded'>
  return { lanes: pinOf(lanes), roles: pinOf(roles), seq: entry.seq }
}

function pinOf({ pin, sha256, source }: LoadedFile): LoadedPin {
  return { pin, sha256, source }
}
