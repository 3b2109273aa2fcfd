import * as z from 'zod'

/**
 * The facts about a holder's process when its lock was granted. `pid_ns` is the namespace of its pid, and `time_ns` the
 * namespace of its start time. Facts that could not be read are null or missing.
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
  time_ns: z.string().max(64).optional(),
})
export type Evidence = z.infer<typeof evidenceSchema>

/** The facts about that pid now, on the machine that judges. */
export interface Probe {
  host_id: string
  /** False if the host id was derived only from a host name, which two machines may share. */
  is_host_known: boolean
  boot_id: string | null
  /** When this boot began, by the current wall clock. */
  booted_ms: number
  pid_ns: string | null
  time_ns: string | null
  /** Outcome of kill(pid, 0): the process exists or not. EPERM means that it exists. */
  exists: boolean
  /** The state letter and start time of the process; null if they cannot be read. */
  state: string | null
  start_time: string | null
}

export type Liveness = { alive: 'yes' | 'unknown' } | { alive: 'no'; reason: 'pid_dead' | 'host_rebooted' }

/**
 * The verdict on one process. Callers act only on `dead`. The verdict is `unknown` if the process could be on another
 * machine or in another namespace, and `alive` if its facts cannot be read. `seenMillis` is the wall time at which the
 * process was last known to be alive.
 */
export function judgeLiveness(evidence: Evidence, probe: Probe, seenMillis: number): Liveness {
  if (evidence.host_id !== probe.host_id) return { alive: 'unknown' }
  if (evidence.boot_id === null || probe.boot_id === null) return { alive: 'unknown' }
  if (evidence.boot_id !== probe.boot_id) {
    return isRebooted(evidence, probe, seenMillis) ? { alive: 'no', reason: 'host_rebooted' } : { alive: 'unknown' }
  }
  if (evidence.pid_ns === null || evidence.pid_ns !== probe.pid_ns) return { alive: 'unknown' }
  if (!probe.exists) return { alive: 'no', reason: 'pid_dead' }
  if (probe.state !== null && /^[ZXx]/.test(probe.state)) return { alive: 'no', reason: 'pid_dead' }
  return startsDiffer(evidence, probe) ? { alive: 'no', reason: 'pid_dead' } : { alive: 'yes' }
}

/**
 * Whether another boot id means that the machine was rebooted. Containers and virtual machines may share a machine id
 * and still have their own boot ids. So both sides must be in the initial namespaces, this boot must have begun after
 * the holder was last seen, and the pid must be free or belong to a process with another start time. A wall clock that
 * was set forward makes this boot look younger than it is, so a process of unknown start time may be the holder.
 */
function isRebooted(evidence: Evidence, probe: Probe, seenMillis: number): boolean {
  if (!probe.is_host_known || !(seenMillis < probe.booted_ms)) return false
  if (!isInitial(evidence) || !isInitial(probe)) return false
  return !probe.exists || startsDiffer(evidence, probe)
}

/** The name used for a namespace on systems without that kind of namespace. */
export const noNamespace = 'none'

/** Inode numbers that Linux reserves for the initial namespaces. */
const initialPidNamespace = 'pid:[4026531836]'
const initialTimeNamespace = 'time:[4026531834]'

function isInitial({ pid_ns, time_ns }: { pid_ns: string | null; time_ns?: string | null | undefined }): boolean {
  return isInitialPidNamespace(pid_ns) && isInitialTimeNamespace(time_ns ?? null)
}

/** Whether the clocks of a time namespace count from the start of the machine. */
export function isInitialTimeNamespace(name: string | null): boolean {
  return name === initialTimeNamespace || name === noNamespace
}

/** Whether a pid namespace is that of the whole machine. */
export function isInitialPidNamespace(name: string | null): boolean {
  return name === initialPidNamespace || name === noNamespace
}

/** Start times depend on the reader's time namespace, so values from different namespaces cannot be compared. */
function startsDiffer(evidence: Evidence, probe: Probe): boolean {
  if (evidence.start_time === null || probe.start_time === null) return false
  if (evidence.time_ns === undefined || evidence.time_ns !== probe.time_ns) return false
  return evidence.start_time !== probe.start_time
}

/** The verdict on a holder of several processes (a wrapper and its child): dead only when all are. */
export function judgeHolder(verdicts: readonly Liveness[]): Liveness {
  const [first] = verdicts
  if (first === undefined) return { alive: 'unknown' }
  if (verdicts.every((verdict) => verdict.alive === 'no')) return first
  return verdicts.find((verdict) => verdict.alive === 'yes') ?? { alive: 'unknown' }
}
