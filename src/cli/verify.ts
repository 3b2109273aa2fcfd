import type { Command } from 'commander'
import { governingLayout } from '../disk/permissions.ts'
import { folderOf, serviceOf } from './context.ts'
import { say } from './output.ts'
import { progressBar } from './progress.ts'
import { local, toggle } from './verb.ts'

export function verifyVerb(): Command {
  return local('verify', 'Reads all stored bytes and derives all state again.', {
    more: 'A failure names the first bad entry.',
    own: { rebuild: toggle('--rebuild', 'first rebuild rows and receipts from the entries') },
    run: async ({ given, globals }) => {
      const rebuild = given.rebuild === true
      const served = rebuild ? undefined : await serviceOf(globals)
      if (served !== undefined) return shown(await served.log.verify())
      const { verifyInChild } = await import('../verify/verify-in-child.ts')
      const bar = await progressBar(globals, 'verify')
      try {
        const verified = await verifyInChild(governingLayout(folderOf(globals)), {
          onProgress: ({ done, total }) => bar.show(done, total),
          openWaitSeconds: globals.openWait ?? 30,
          rebuild,
        })
        bar.stop()
        return shown(verified)
      } finally {
        bar.stop()
      }
    },
    lines: ({ entries, root, rows }) => `verified ${entries} entries and ${rows} rows; root ${root}`,
    examples: ['lockstep verify', 'lockstep verify --json --dir ~/work/fleet', 'lockstep verify --rebuild'],
  })
}

function shown<T extends { warnings: readonly string[] }>(verified: T): T & { verified: true } {
  for (const warning of verified.warnings) say(`warning: ${warning}`)
  return { verified: true, ...verified }
}
