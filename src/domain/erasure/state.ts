import type { Row } from '../../kernel/decider.ts'
import type { Entry } from '../../kernel/entry.ts'
import type { Actor } from '../../kernel/ids.ts'
import type { ErasureEventData, Held } from './events.ts'

/** The first word of the streams of approvals. The stream of this name alone has refusals, and what retention erased. */
export const erasureStream = 'erasure'

/** The stream of one approval. */
export const streamOfErasure = (approvalId: string) => `${erasureStream}/${approvalId}`

/** The stream of everything that was erased of the free texts of entries. */
export const textsStream = 'texts'

/** The stream of all legal holds. */
export const retentionStream = 'retention'

/** An approval, and the entry that used it. */
export interface ErasureState extends ErasureEventData<'erasure.approved'> {
  actor: Actor
  time: string
  used: number | null
}

/** Returns the next state; null for the stream that belongs to no approval. */
export function evolveErasure(state: ErasureState | null | undefined, entry: Entry): ErasureState | null {
  if (entry.type === 'erasure.approved') {
    const { actor, time } = entry
    return { ...(entry.data as ErasureEventData<'erasure.approved'>), actor, time, used: null }
  }
  const isUse = entry.type === 'object.erased' || entry.type === 'erasure.used'
  return state && isUse ? { ...state, used: entry.seq } : (state ?? null)
}

/** The state of an approval's row; undefined if there is no such approval. */
export function erasureIn(row: Row | undefined): ErasureState | undefined {
  return (row?.state ?? undefined) as ErasureState | undefined
}

/** A legal hold in force. */
export interface LegalHold extends ErasureEventData<'retention.held'> {
  seq: number
  time: string
}

/** Returns the holds that are in force after an entry, oldest first. */
export function evolveHolds(holds: readonly LegalHold[] = [], { data, seq, time, type }: Entry): readonly LegalHold[] {
  if (type === 'retention.held') return [...holds, { ...(data as ErasureEventData<'retention.held'>), seq, time }]
  return holds.filter(({ hold_id }) => hold_id !== data.hold_id)
}

/** The legal holds in force. */
export function holdsIn(row: Row | undefined): readonly LegalHold[] {
  return (row?.state ?? []) as readonly LegalHold[]
}

/** Whether a hold covers an object that an entry names. */
export function isHeld(covers: Held, { case_id, run_id }: Pick<Entry, 'case_id' | 'run_id'>, of?: string): boolean {
  if ('run_id' in covers) return covers.run_id === run_id
  if ('case_id' in covers) return covers.case_id === case_id
  return 'all' in covers || covers.class === of
}
