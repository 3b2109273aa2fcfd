import type { Judgement } from '../../kernel/clock.ts'
import type { Entry } from '../../kernel/entry.ts'
import type { LockEventData } from './events.ts'
import { grantOf, judgedBy, type LockState, lockOf, type Renewal, renewed, seqOfGrant } from './state.ts'

/** The stored form of a lock's row. It omits facts that are in the entry of the grant. `token` is the seq of that entry. */
export interface StoredLock extends Pick<LockState, 'ended' | 'folder' | 'retired'> {
  grant: { judged?: Judgement; renewed: Renewal | null; token: number } | null
}

export function toStored({ ended, folder, grant, retired }: LockState): StoredLock {
  if (grant === null) return { ended, folder, grant, retired }
  const { acquired, expires_at, host_id, judged, lease_clock, renewals } = grant
  const renewal = renewals === 0 ? null : { acquired, expires_at, host_id, lease_clock, renewals }
  const stored = { renewed: renewal, token: seqOfGrant(grant) }
  return { ended, folder, grant: judged === undefined ? stored : { ...stored, judged }, retired }
}

/** Restores the state; undefined if the entry of its grant is missing. */
export function fromStored(
  { ended, folder, grant, retired }: StoredLock,
  stream: string,
  entryAt: (seq: number) => Entry | undefined,
): LockState | undefined {
  const state = { ended, folder, grant: null, ...lockOf(stream), retired }
  if (grant === null) return state
  const entry = entryAt(grant.token)
  if (entry?.type !== 'lock.acquired' || entry.stream !== stream) return undefined
  const granted = grantOf(entry as Entry<'lock.acquired', LockEventData<'lock.acquired'>>)
  const standing = grant.renewed === null ? granted : renewed(granted, grant.renewed)
  return { ...state, grant: grant.judged === undefined ? standing : judgedBy(standing, grant.judged) }
}
