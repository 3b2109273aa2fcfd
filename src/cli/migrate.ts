import type { Command } from 'commander'
import { nanoid } from 'nanoid'
import type { MoveTarget } from '../backup/move.ts'
import { engineSchema } from '../disk/engine-file.ts'
import { type Layout, realFolder } from '../disk/layout.ts'
import { LockstepError } from '../errors.ts'
import { folderOf, serviceOf, withLedger } from './context.ts'
import { progressBar } from './progress.ts'
import { local, text, toggle } from './verb.ts'

export function migrateVerb(): Command {
  return local('migrate', 'Moves the ledger to another place, with its name and its key.', {
    more: 'Others use the ledger while it is copied. Then its last entry here names the new place, and every command is refused here from then on. An interrupted move goes on when it is run again with the same place.',
    errors: ['FILE_DENIED', 'LEDGER_EXISTS', 'LEDGER_SERVED', 'SEAL_DENIED', 'VERIFY_FAILED'],
    own: {
      nested: toggle('--nested', 'allow a ledger inside or above another'),
      to: {
        ...text(
          '--to <place>',
          'a folder, which the ledger then governs, or the connection string of a PostgreSQL database',
        ),
        isRequired: true,
      },
    },
    run: async ({ given, globals }) => {
      const { moveLedger } = await import('../backup/move.ts')
      const { governingLayout } = await import('../disk/permissions.ts')
      const { openLog } = await import('../log/engines.ts')
      const layout = governingLayout(folderOf(globals))
      const { isDatabase, target } = await targetOf(given.to ?? '', layout, given.nested ?? false)
      const source = {
        root: layout.root,
        snapshot: async () => {
          const asked = { layout, command: 'lockstep migrate', nonce: () => nanoid(12), openWaitSeconds: 0 }
          return (await openLog({ ...asked, snapshot: 'always' })).log
        },
        seal: async (to: string) => {
          // The service would go on with the head file of the folder, which from then on is that of the database.
          if (isDatabase && (await serviceOf(globals)) !== undefined) throw stillServed(layout)
          return withLedger(globals, 'migrate', ({ log }) => log.seal({ to }))
        },
      }
      const bar = await progressBar(globals, 'migrate')
      try {
        const moved = await moveLedger(source, target, { onProgress: (done, total) => bar.show(done, total) })
        return { ...moved, dir: isDatabase ? layout.root : realFolder(given.to ?? '') }
      } finally {
        bar.stop()
      }
    },
    lines: ({ dir, origin, root, size, to }) => [
      `${size} entries of ${origin} were moved to ${to}, and verified`,
      `root ${root}`,
      `the ledger is used from ${dir}`,
    ],
    examples: ['lockstep migrate --to postgres://lockstep@db.example/ledgers', 'lockstep migrate --to ~/work/fleet'],
  })
}

async function targetOf(
  to: string,
  layout: Layout,
  nested: boolean,
): Promise<{ isDatabase: boolean; target: MoveTarget }> {
  if (engineSchema.safeParse(to).success) {
    const { databaseTarget } = await import('../backup/move-to-database.ts')
    return { isDatabase: true, target: databaseTarget(to, layout) }
  }
  const { folderTarget } = await import('../backup/move-to-folder.ts')
  return { isDatabase: false, target: folderTarget(to, layout, { nested }) }
}

function stillServed({ root }: Layout): LockstepError {
  return new LockstepError('LEDGER_SERVED', `a service has the ledger in ${root} open`, {
    hint: 'Nearly all entries are copied. Stop the service and run the command again.',
  })
}
