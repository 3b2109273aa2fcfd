import type { Acquire } from '../../src/domain/lock/commands.ts'
import { evidenceOf, refOf } from '../core/lock/steps.ts'

/** The command that acquires a lock for a holder of the same name. */
export const acquireCommand = (lock: string, more: Partial<Acquire> = {}): Acquire => ({
  type: 'lock.acquire',
  name: 'resource:a',
  holder: lock,
  lock_ref: refOf(lock),
  lease_duration_s: 60,
  evidence: [evidenceOf(100)],
  ...more,
})
