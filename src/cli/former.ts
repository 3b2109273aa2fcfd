import { setTimeout as pause } from 'node:timers/promises'
import type { Evidence } from '../core/lock/liveness.ts'
import { probeHolder } from '../fs/process.ts'
import { lineage } from './process-list.ts'

/**
 * How long a holder whose lock was broken is waited for: it notices within seconds, and takes the longest grace that
 * there is without a lock.
 */
const formerMillisMax = 30_000
const formerPollMillis = 50

/**
 * Waits for the work of a holder whose lock was broken, who notices within moments and ends it: two would be at work
 * otherwise. A process that stays, as a session that had the lock by its pid, is not waited for longer than that, one
 * that cannot be seen from here, as in another container, just so long, and one that we come from not at all.
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
  say(`processes of the former holder, whose lock was broken, are waited for: ${left().join(', ')}`)
  const until = performance.now() + millisMax
  while (left().length > 0 && !isOver()) {
    if (performance.now() > until) return say('they are not known to have ended, and are not waited for any longer')
    await pause(formerPollMillis)
  }
}

function verdictOn(evidence: Evidence): 'no' | 'unknown' | 'yes' {
  return probeHolder([evidence], Date.now()).alive
}
