import type { Reactor } from '../../files/reactor.ts'
import type { Entry } from '../../kernel/entry.ts'
import type { Locks } from './locks.ts'

const ends = new Set(['lock.broken', 'lock.recovered', 'lock.released'])

/**
 * Removes the lock file of a deliverable grant that ended, where the process that ended the grant could not remove it
 * or crashed first. It only touches the file with that grant's own lock_ref.
 */
export function lockFileReactor(locks: Pick<Locks, 'removeEndedFile'>): Reactor {
  return {
    name: 'lock_file',
    concerns: (entry: Entry) => ends.has(entry.type) && entry.stream.startsWith('lock/deliverable:'),
    handle: async (entry) => {
      await locks.removeEndedFile(entry)
      return 'done'
    },
  }
}
