import { setTimeout as pause } from 'node:timers/promises'
import type { Api } from '../api/api.ts'
import { probeHolder } from '../disk/process.ts'
import type { LockEventData } from '../domain/lock/events.ts'
import type { Evidence } from '../domain/lock/liveness.ts'
import { lineage } from './process-list.ts'

/** How many entries are searched for earlier grants, since refusals may lie between them. */
const formerEntriesMax = 20

/**
 * The processes of the broken or lost grants directly before this one, because their holders were not done. A release
 * or a recovery ends the search: the holder was done, dead, or past its lease.
 */
export async function formerHolders(
  ledger: Pick<Api, 'locks'>,
  { lock_ref, name }: { lock_ref: string; name: string },
): Promise<Evidence[]> {
  const former: Evidence[] = []
  const { entries } = await ledger.locks.history({ limit: formerEntriesMax, name })
  const own = entries.findIndex(({ data, type }) => type === 'lock.acquired' && data.lock_ref === lock_ref)
  for (const { data, type } of own === -1 ? [] : entries.slice(own + 1)) {
    if (type === 'lock.released' || type === 'lock.recovered') break
    if (type === 'lock.acquired') former.push(...(data as LockEventData<'lock.acquired'>).evidence)
  }
  return former
}

/** How long to wait for a holder whose lock was broken. It notices within seconds; its grace period is 10 s at most. */
const formerMillisMax = 30_000
const formerPollMillis = 50

/**
 * Waits until a holder whose lock was broken has ended its work, so that two holders never work at once. The wait is
 * bounded: a process may stay, such as a session that held the lock by its pid, and a process in another container
 * cannot be seen. Ancestors of this process are not waited for.
 */
export async function formerAreGone(
  former: readonly Evidence[],
  {
    isOver,
    say,
    millisMax = formerMillisMax,
  }: { isOver: () => boolean; say: (text: string) => void; millisMax?: number },
): Promise<void> {
  if (former.length === 0) return
  const ours = await lineage()
  const others = former.filter((evidence) => !ours.has(evidence.pid) || verdictOn(evidence) !== 'yes')
  // Only a process that is certainly dead has ended its work.
  const left = () => others.filter((evidence) => verdictOn(evidence) !== 'no').map(({ pid }) => pid)
  if (left().length === 0) return
  say(`waiting for the processes of the former holder: ${left().join(', ')}`)
  const until = performance.now() + millisMax
  while (left().length > 0 && !isOver()) {
    if (performance.now() > until) return say('the former holder may still be working; going on without waiting for it')
    await pause(formerPollMillis)
  }
}

function verdictOn(evidence: Evidence): 'no' | 'unknown' | 'yes' {
  return probeHolder([evidence], Date.now()).alive
}
