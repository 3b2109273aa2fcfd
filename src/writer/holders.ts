import { AsyncLocalStorage } from 'node:async_hooks'
import { evidenceOf, pidNotFound, probeHolder } from '../disk/process.ts'
import type { Acquire } from '../domain/lock/commands.ts'
import type { Evidence, Liveness } from '../domain/lock/liveness.ts'
import { contention } from '../domain/lock/report.ts'
import { type Grant, orphanReason } from '../domain/lock/state.ts'
import { LockstepError } from '../errors.ts'
import type { Actor } from '../kernel/ids.ts'
import { after, type Maybe } from '../kernel/maybe.ts'
import { type Core, submit } from './core.ts'
import { lockGrantOf } from './lock-rows.ts'
import { errorOf } from './refusals.ts'

/**
 * What the machine knows about a lock's present holder when a command is decided: that it died, or whether it is
 * alive.
 */
export type HolderFacts = Pick<Acquire, 'death' | 'holder_alive'>

/**
 * Probes the holder of a current grant whose lease is not over. A dead process stays dead, so the holder can be
 * probed before the command is queued. The decision uses the result only for the same token.
 */
export function deathOfHolder(core: Core, name: string): Maybe<HolderFacts> {
  return after(lockGrantOf(core, name), (grant) => factsOf(core, grant))
}

function factsOf(core: Core, grant: Grant | null): HolderFacts {
  if (grant === null || grant.kind === 'project' || orphanReason(grant, undefined, core.now()) !== undefined) return {}
  const verdict = livenessOf(grant)
  if (verdict.alive === 'no') return { death: { token: grant.token, reason: verdict.reason } }
  return { holder_alive: verdict.alive }
}

/**
 * Whether the processes that hold a grant are alive. They count as dead only if all are dead. A renewal also proves
 * life.
 */
export function livenessOf(grant: Grant): Liveness {
  return probeHolder(grant.evidence, Date.parse(grant.acquired))
}

/**
 * LOCK_CONTENTION with a grant whose lock file exists. If the clocks cannot be compared, the judgement of the lease
 * is recorded: the lease then ends at most one full lease later.
 */
export async function contentionWith(core: Core, grant: Grant, actor: Actor): Promise<LockstepError> {
  const { name, token } = grant
  const { holder_alive = 'unknown' } = await deathOfHolder(core, name)
  const refusal = contention(grant, core.now(), holder_alive)
  if (refusal.isChange) {
    const command = { type: 'lock.report_file' as const, name, report: { fact: 'judged' as const, token } }
    await submit(core, command, { actor }).catch((error: unknown) => {
      // The grant has ended meanwhile, so no judgement is needed.
      if (!(error instanceof LockstepError) || error.code !== 'LOCK_NOT_HELD') throw error
    })
  }
  return errorOf(refusal)
}

let ownEvidence: Evidence | undefined

// Another node that forwards a call sends the evidence with it. It travels beside the call, as a trace does.
const ofCall = new AsyncLocalStorage<readonly Evidence[]>()

/** Makes a call whose processes run on the machine of another node, which gathered their evidence. */
export function withEvidence<T>(evidence: readonly Evidence[], call: () => T): T {
  return ofCall.run(evidence, call)
}

/** Evidence of the processes that will hold a lock. Errors: PID_NOT_FOUND. */
export function evidenceFor(pids: readonly number[]): Evidence[] {
  const gathered = ofCall.getStore()
  return pids.map((pid) => {
    const found = gathered?.find((each) => each.pid === pid)
    if (found !== undefined) return found
    if (gathered !== undefined) throw pidNotFound(pid)
    if (pid !== process.pid) return evidenceOf(pid)
    ownEvidence ??= evidenceOf(pid)
    return ownEvidence
  })
}
