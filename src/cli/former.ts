import { setTimeout as pause } from 'node:timers/promises'
import type { Evidence } from '../core/lock/liveness.ts'
import { probeHolder } from '../fs/process.ts'
import { lineage } from './process-list.ts'

/** A holder notices within seconds that its lock was broken, and then has a grace period of 10 s at most. */
const formerMillisMax = 30_000
const formerPollMillis = 50

/**
 * Waits until the processes of a holder whose lock was broken are dead. That holder notices the break within seconds
 * and ends its work; without the wait, two commands would run at the same time. The wait has a limit, for a process may
 * stay, such as a session that held the lock by its pid. Processes that cannot be seen from here, such as those in
 * another container, take the whole time. Ancestors of this process are not waited for.
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
  say(`waiting for the processes of the former holder, whose lock was broken: ${left().join(', ')}`)
  const until = performance.now() + millisMax
  while (left().length > 0 && !isOver()) {
    if (performance.now() > until)
      return say('the former processes may still be running; not waiting for them any longer')
    await pause(formerPollMillis)
  }
}

function verdictOn(evidence: Evidence): 'no' | 'unknown' | 'yes' {
  return probeHolder([evidence], Date.now()).alive
}
