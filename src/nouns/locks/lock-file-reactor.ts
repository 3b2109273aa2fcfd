import type { LockEventData } from '../../domain/lock/events.ts'
import { LockstepError } from '../../errors.ts'
import type { Reactor } from '../../files/reactor.ts'
import { seqOfToken } from '../../log/log.ts'
import type { Core } from '../../writer/core.ts'
import type { Deliverables } from './deliverables.ts'

const ends = new Set(['lock.broken', 'lock.recovered', 'lock.released'])

/**
 * Removes the lock file of a deliverable grant that ended, where the process that ended the grant could not remove it
 * or crashed first. It only touches the file with that grant's own lock_ref. Errors: FILE_FAILED if the file cannot be
 * removed now.
 */
export function lockFileReactor(deliverables: Deliverables, { log, views }: Pick<Core, 'log' | 'views'>): Reactor {
  return {
    name: 'lock_file',
    concerns: ({ stream, type }) => ends.has(type) && stream.startsWith('lock/deliverable:'),
    handle: async ({ data }) => {
      const token = data.token ?? data.previous_token
      const granted = typeof token === 'number' ? await views.entry(seqOfToken(log.meta, token)) : undefined
      if (granted?.type !== 'lock.acquired') return 'done'
      const grant = granted.data as LockEventData<'lock.acquired'>
      if ((await deliverables.removeFileOf(grant)) === 'current') return 'done'
      throw new LockstepError('FILE_FAILED', `the lock file of ${grant.name} cannot be removed now`)
    },
  }
}
