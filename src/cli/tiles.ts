import { resolve } from 'node:path'
import type { Command } from 'commander'
import { exportTiles } from '../files/tiles/export-tiles.ts'
import { withSnapshot } from './context.ts'
import { progressBar } from './progress.ts'
import { local, noun, text, toggle } from './verb.ts'

export function tilesCommand(verb: string | undefined): Command {
  return noun('tiles', { export: exportVerb }, verb, [
    'lockstep tiles export /srv/www/ledger',
    'lockstep tiles export /srv/www/ledger --entries --json',
  ])
}

function exportVerb(): Command {
  return local('export', 'Writes the log as tiles (C2SP tlog-tiles) to a folder for any web server.', {
    more: 'Others use the ledger meanwhile. The next export to the same folder writes only what is new. A checkpoint that the ledger does not extend is not overwritten.',
    errors: ['DISK_FULL', 'FILE_DENIED', 'FILE_FAILED', 'FILE_READ_ONLY', 'VERIFY_FAILED'],
    own: {
      dir: text('<target>', 'the folder of the tiles; it is made if it is missing'),
      entries: toggle('--entries', 'also write the entries themselves, and not only their hashes'),
    },
    run: async ({ command, given, globals }) => {
      const bar = await progressBar(globals, 'tiles')
      const options = {
        dir: resolve(given.dir ?? ''),
        entries: given.entries,
        onProgress: (done: number, total: number) => bar.show(done, total),
      }
      try {
        return await withSnapshot(globals, command, ({ tiles }) => exportTiles(tiles, options))
      } finally {
        bar.stop()
      }
    },
    lines: ({ bundles, dir, origin, previous_size, root, size, tiles }) => [
      `${dir}: ${size} entries of ${origin}, ${previous_size === null ? 'the first export' : `after ${previous_size}`}`,
      `${tiles} tiles and ${bundles} bundles of entries written`,
      `root ${root}`,
    ],
    examples: ['lockstep tiles export /srv/www/ledger', 'lockstep tiles export /srv/www/ledger --entries --json'],
  })
}
