import type { Command } from 'commander'
import { governingLayout } from '../disk/permissions.ts'
import type { Verified } from '../verify/verify.ts'
import { asOf, folderOf, serviceOf } from './context.ts'
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
          onSnapshot: (size) => say(asOf(size)),
          openWaitSeconds: globals.openWait ?? 30,
          rebuild,
        })
        bar.stop()
        return shown(verified)
      } finally {
        bar.stop()
      }
    },
    lines: ({ entries, rebuilt, root, rows }) => [
      ...(rebuilt === undefined ? [] : rebuiltLines(rebuilt)),
      `verified ${entries} entries and ${rows} rows; root ${root}`,
    ],
    examples: ['lockstep verify', 'lockstep verify --json --dir ~/work/fleet', 'lockstep verify --rebuild'],
  })
}

function rebuiltLines({ anchor_size, replaced, replaced_rows }: NonNullable<Verified['rebuilt']>): string[] {
  const anchor =
    anchor_size === null
      ? 'rebuilt from entries that nothing outside the database confirms: .lockstep/head is missing'
      : `rebuilt from entries that match .lockstep/head at size ${anchor_size}`
  if (replaced === null) return [anchor, 'no row differed']
  return [anchor, `${replaced_rows} rows differed; what they said is kept in ${replaced}`]
}

function shown(verified: Verified): Verified & { verified: true } {
  for (const warning of verified.warnings) say(`warning: ${warning}`)
  return { verified: true, ...verified }
}
