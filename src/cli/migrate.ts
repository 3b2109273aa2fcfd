import { resolve } from 'node:path'
import type { Command } from 'commander'
import { LockstepError } from '../errors.ts'
import { folderOf, withLedger } from './context.ts'
import { progressBar } from './progress.ts'
import { local, text, toggle } from './verb.ts'

export function migrateVerb(): Command {
  return local('migrate', 'Moves the ledger to another place, with its name and its key.', {
    more: 'Others use the ledger while it is copied. Then its last entry here names the new place, and every command is refused here from then on. An interrupted move goes on when it is run again with the same place.',
    errors: ['FILE_DENIED', 'LEDGER_EXISTS', 'LEDGER_SERVED', 'SEAL_DENIED', 'VERIFY_FAILED'],
    own: {
      nested: toggle('--nested', 'allow a ledger inside or above another'),
      to: { ...text('--to <place>', 'the folder that the ledger governs from then on'), isRequired: true },
    },
    run: async ({ given, globals }) => {
      const { folderTarget } = await import('../backup/move-to-folder.ts')
      const { moveLedger } = await import('../backup/move.ts')
      const { governingLayout } = await import('../disk/permissions.ts')
      const { openLog } = await import('../log/engines.ts')
      const layout = governingLayout(folderOf(globals))
      const to = resolve(given.to ?? '')
      if (to === layout.root) throw new LockstepError('INVALID_INPUT', `the ledger is in ${to} already`)
      const source = {
        root: layout.root,
        snapshot: async () => {
          const opening = { layout, command: 'lockstep migrate', nonce: () => '', openWaitSeconds: 0 }
          return (await openLog({ ...opening, snapshot: 'always' })).log
        },
        seal: (place: string) => withLedger(globals, 'migrate', ({ log }) => log.seal({ to: place })),
      }
      const bar = await progressBar(globals, 'migrate')
      try {
        const target = folderTarget(to, layout, { nested: given.nested ?? false })
        const moved = await moveLedger(source, target, { onProgress: (done, total) => bar.show(done, total) })
        return { ...moved, from: layout.root, where: to }
      } finally {
        bar.stop()
      }
    },
    lines: ({ from, origin, root, size, where }) => [
      `${size} entries of ${origin} are in ${where}, verified`,
      `root ${root}`,
      `${from} takes no more commands; it can be read and verified`,
    ],
    examples: ['lockstep migrate --to ~/work/fleet', 'lockstep migrate --dir ~/work/fleet --to /srv/fleet --json'],
  })
}
