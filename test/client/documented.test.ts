import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { root as packageRoot } from '../runner.ts'
import { servicesOf, withServiceProcess } from './service-process.ts'

const test = suite('the guide to the client')

test(
  'has an example that runs as printed, and a second time on the same service',
  withServiceProcess(async ({ root }) => {
    const guide = readFileSync(join(packageRoot, 'docs/how-to/connect-from-a-program.md'), 'utf8')
    const [, example = ''] =
      /<!-- run by test\/client\/documented\.test\.ts -->\n```ts\n([\s\S]*?)```/.exec(guide) ?? []
    const file = join(root, 'example.mjs')
    const entry = JSON.stringify(pathToFileURL(join(packageRoot, 'dist/client.js')).href)
    const program = `const dir = ${JSON.stringify(root)}\n${example.replace("'lockstep/client'", entry)}`
    for (const times of [1, 2]) {
      // A client that is not closed does not keep its program alive.
      writeFileSync(file, times === 1 ? program : program.replace('await client.close()\n', ''))
      const { stderr, stdout } = spawnSync(process.execPath, [file], { encoding: 'utf8' })
      is(stderr, '')
      const types = stdout
        .trim()
        .split('\n')
        .map((line) => line.split(' ')[1])
      equal(types, [
        'ledger.created',
        ...Array(times).fill(['lock.acquired', 'audit.recorded', 'lock.released']).flat(),
      ])
    }
    is(servicesOf(root).length, 1)
  }),
)

test.run()
