import { type Refusal, refuse } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Receipts } from '../views/receipts.ts'
import type { Plan } from './plan.ts'
import type { Outcome, Submission } from './submission.ts'

/**
 * The earlier answer to the same request of this actor, from this batch or from the log. If the key was used with
 * different content, returns IDEMPOTENCY_MISMATCH. Undefined if the request is new.
 */
export function earlierAnswer(submission: Submission, plan: Plan, receipts: Receipts): Outcome | Refusal | undefined {
  const { request, actor } = submission
  if (request === undefined) return undefined
  const entries =
    plan.remembered(actor.actor_id, request.key) ?? recordedEntries(actor.actor_id, request.key, plan, receipts)
  const first = entries?.[0]
  if (entries === undefined || first === undefined) return undefined
  // Entries of format 1 state the plain digest.
  const stated = first.request?.sha256
  if (stated === request.sha256 || stated === plan.digestOf(request.sha256)) return { entries, replayed: true }
  return refuse(
    'IDEMPOTENCY_MISMATCH',
    `the request key was already used at seq ${first.seq}, with different content`,
    {
      seq: first.seq,
      event_id: first.event_id,
    },
  )
}

/** All entries of an earlier request. Each entry states its index and their count. */
function recordedEntries(actorId: string, key: string, plan: Plan, receipts: Receipts): Entry[] | undefined {
  for (const seq of receipts.candidates(actorId, key)) {
    const entry = plan.entry(seq)
    if (entry?.actor.actor_id !== actorId || entry.request?.key !== key) continue
    const from = seq - entry.request.index
    return Array.from({ length: entry.request.count }, (_, index) => plan.entry(from + index)).filter(
      (found) => found !== undefined,
    )
  }
  return undefined
}
