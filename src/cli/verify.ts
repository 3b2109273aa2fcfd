import { Command } from 'commander'
import { governingLayout } from '../disk/permissions.ts'
import { examples, folderOf, globalsOf } from './context.ts'
import { print, say } from './output.ts'
import { progressBar } from './progress.ts'

export function verifyCommand(): Command {
  const command = new Command('verify')
    .description('Read all stored bytes and derive all state again. A failure names the first bad entry.')
    .option('--rebuild', 'first rebuild rows and receipts from the entries')
    .action(async ({ rebuild = false }: { rebuild?: boolean }, self: Command) => {
      const globals = globalsOf(self)
      const { verifyInChild } = await import('../verify/verify-in-child.ts')
      const bar = await progressBar(globals, 'verify')
      try {
        const verified = await verifyInChild(governingLayout(folderOf(globals)), {
          onProgress: ({ done, total }) => bar.show(done, total),
          openWaitSeconds: globals.openWait ?? 30,
          rebuild,
        })
        bar.stop()
        for (const warning of verified.warnings) say(`warning: ${warning}`)
        print(
          globals,
          { verified: true, ...verified },
          () => `verified ${verified.entries} entries and ${verified.rows} rows; root ${verified.root}`,
        )
      } finally {
        bar.stop()
      }
    })
  return examples(command, 'lockstep verify', 'lockstep verify --json --dir ~/work/fleet', 'lockstep verify --rebuild')
}
