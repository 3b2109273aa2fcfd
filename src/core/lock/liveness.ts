import * as z from 'zod'

/**
 * What was seen of a holder's process when its lock was granted. `pid_ns` is the namespace the number counts
 * in; null members could not be seen. Source: locks.md, liveness evidence.
 */
export const evidenceSchema = z.strictObject({
  boot_id: z.string().max(64).nullable(),
  host: z.string().max(255),
  host_id: z.string().max(128),
  pid: z
    .int()
    .min(1)
    .max(2 ** 31 - 1),
  pid_ns: z.string().max(64).nullable(),
  start_time: z.string().max(64).nullable(),
})
export type Evidence = z.infer<typeof evidenceSchema>

/** What the judging machine sees now of that pid. */
export interface Probe {
  host_id: string
  boot_id: string | null
  pid_ns: string | null
  /** Outcome of kill(pid, 0): no such process, or it is there (EPERM counts as there). */
  exists: boolean
  /** The process's state letter and start time, null where they cannot be read. */
  state: string | null
  start_time: string | null
}

export type Liveness = { alive: 'yes' | 'unknown' } | { alive: 'no'; reason: 'pid_dead' | 'host_rebooted' }

/**
 * The verdict on one process. Only death is certain enough to act on: anything that cannot be told apart from
 * a process elsewhere is unknown, and what cannot be read is alive.
 */
export function judgeLiveness(evidence: Evidence, probe: Probe): Liveness {
  if (evidence.host_id !== probe.host_id) return { alive: 'unknown' }
  if (evidence.boot_id === null || probe.boot_id === null) return { alive: 'unknown' }
  if (evidence.boot_id !== probe.boot_id) return { alive: 'no', reason: 'host_rebooted' }
  if (evidence.pid_ns !== probe.pid_ns) return { alive: 'unknown' }
  if (!probe.exists) return { alive: 'no', reason: 'pid_dead' }
  if (probe.state !== null && /^[ZXx]/.test(probe.state)) return { alive: 'no', reason: 'pid_dead' }
  if (evidence.start_time !== null && probe.start_time !== null && evidence.start_time !== probe.start_time) {
    return { alive: 'no', reason: 'pid_dead' }
  }
  return { alive: 'yes' }
}

/** The verdict on a holder of several processes (a wrapper and its child): dead only when all are. */
export function judgeHolder(verdicts: readonly Liveness[]): Liveness {
  const [first] = verdicts
  if (first === undefined) return { alive: 'unknown' }
  if (verdicts.every((verdict) => verdict.alive === 'no')) return first
  return verdicts.find((verdict) => verdict.alive === 'yes') ?? { alive: 'unknown' }
}
