import type { Command } from 'commander'
import type { LockState } from '../api/shapes/locks.ts'
import { ignoresCase } from '../disk/layout.ts'
import { isWithin } from '../domain/lock/paths/path.ts'
import { limits } from '../kernel/limits.ts'
import { locksAbove } from '../supervise/locks-above.ts'
import { changedFiles } from './changed-files.ts'
import { actorFor, folderOf, withLedger } from './context.ts'
import { remainingText } from './lock-text.ts'
import { timeText } from './output.ts'
import { local, toggle } from './verb.ts'

/** A changed file, and the lock of another holder that covers it. */
interface HeldFile {
  file: string
  lock: LockState
}

export function checkEditsVerb(): Command {
  return local('check-edits', 'Compares the changed files of a Git worktree with who holds them.', {
    more: 'The exit code is 75 if another holder has a lock on one of them. Locks of the same actor, and of the commands above this one, are the caller’s own. The guard of "lockstep hook git --install" is this command with --staged.',
    own: { staged: toggle('--staged', 'only what the next commit contains') },
    errors: ['LIMIT_EXCEEDED'],
    run: async ({ command, given, globals }) => {
      const { files, top } = changedFiles(folderOf(globals), given.staged === true)
      const actor_id = actorFor(globals)?.actor_id
      const isOwn = (lock: LockState) =>
        (actor_id !== undefined && lock.actor_id === actor_id) || locksAbove().includes(lock.lock_ref ?? '')
      const { namedPaths } = await import('../files/paths/path-names.ts')
      return withLedger(
        globals,
        command,
        async (ledger) => {
          const place = { ignoresCase: ignoresCase(ledger.dir), isSeen: true, root: ledger.dir }
          const counts = { free: 0, own: 0 }
          const held: HeldFile[] = []
          for (let at = 0; at < files.length; at += limits.pathsListed) {
            const some = files.slice(at, at + limits.pathsListed)
            const { locks } = await ledger.locks.list({ paths: some.map((file) => `${top}/${file}`) })
            for (const file of some) {
              const { paths } = namedPaths([`${top}/${file}`], place)
              const over = locks.filter((lock) => lock.state === 'held' && covers(lock, paths))
              const others = over.filter((lock) => !isOwn(lock))
              held.push(...others.map((lock) => ({ file, lock })))
              if (over.length === 0) counts.free += 1
              else if (others.length === 0) counts.own += 1
            }
          }
          return { checked: files.length, ...counts, held }
        },
        'query',
      )
    },
    lines: ({ checked, free, held, own }) => [
      ...held.flatMap(heldLines),
      held.length > 0
        ? 'Release or wait for these locks before the change; "lockstep lock acquire --path FILE --wait 2m" waits.'
        : `${checked} changed files: ${own} under own locks, ${free} not locked`,
    ],
    exit: ({ held }) => (held.length > 0 ? 75 : 0),
    examples: ['lockstep lock check-edits', 'lockstep --actor agent-7 lock check-edits --staged --json'],
  })
}

function covers({ paths: held = [] }: LockState, paths: readonly string[]): boolean {
  return held.some((one) => paths.some((path) => isWithin(path, one) || isWithin(one, path)))
}

function heldLines({ file, lock }: HeldFile): string[] {
  const { acquired = '', holder, reason, shared, worktree } = lock
  const how = shared ? 'is being read by' : 'is held by'
  return [
    `${file} ${how} ${holder} since ${timeText(acquired)}, ${remainingText(lock)}`,
    ...(reason === undefined ? [] : [`  for: ${reason.replaceAll(/\s+/g, ' ')}`]),
    ...(worktree === undefined ? [] : [`  in the worktree ${worktree}`]),
  ]
}
