import type { EventDraft } from '../../kernel/entry.ts'
import { given } from '../../kernel/given.ts'
import { auditStream, type RefusalsCounted } from './events.ts'

/** What a count of refusals says besides the counts. Without a stream it is a count of an actor, over all streams. */
interface CountFacts extends Pick<RefusalsCounted, 'outcome' | 'since' | 'target'> {
  /** The event_id of the recorded refusal that the counted ones are equal to. */
  like?: string
  stream?: string
}

/** The event that records refusals which were counted instead of recorded one by one (ADR 0058). */
export function countedRefusals(
  counts: Readonly<Record<string, number>>,
  { like, outcome, since, stream = auditStream, target }: CountFacts,
): EventDraft {
  const codes = Object.entries(counts)
    .map(([code, count]) => ({ code, count }))
    .sort((one, other) => (one.code < other.code ? -1 : 1))
  const count = codes.reduce((sum, each) => sum + each.count, 0)
  const message = `${count} more refusals: ${codes.map((each) => `${each.code} ${each.count}`).join(', ')}`
  return {
    type: 'audit.refusals_counted',
    stream,
    data: { codes, count, ...given({ like }), message, outcome, since, target },
  }
}
