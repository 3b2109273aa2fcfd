import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { stagingEventSchemas } from '../../src/core/staging/events.ts'
import { turnEventSchemas } from '../../src/core/turn/events.ts'
import { errorCodes, noticeCodes } from '../../src/core/turn/issue.ts'
import { codes } from '../../src/errors.ts'
import { root as project } from '../runner.ts'
import { isThere } from './named-tests.ts'

const page = suite('the page on turns')
const text = readFileSync(join(project, 'docs/turns.md'), 'utf8')

page('names tests that are there for each ruling', () => {
  const [, below = ''] = text.split('<!-- held by test/docs/turns.test.ts -->\n')
  const [table = ''] = below.split('\n## ')
  const rows = table
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| seed |'))
    .map((line) => line.slice(2, -2).split(' | '))
  ok(rows.length >= 20, `${rows.length} rulings were found`)
  for (const row of rows) is(row.length, 3, row.join(' | '))
  const named = rows.flatMap((row) => (row[2] ?? '').split('<br>'))
  equal(
    named.filter((title) => !isThere(title)),
    [],
  )
})

page('has a row for every type of event', () => {
  const types = [...text.matchAll(/^\| `(turn\.[a-z_]+)` \|/gm)].map(([, type]) => type)
  equal(types, [...Object.keys(turnEventSchemas), ...Object.keys(stagingEventSchemas)])
})

page('says of every code which command gives it first', () => {
  const [, below = ''] = text.split('## Which command first gives a code')
  const [table = ''] = below.split('\n`validate` answers')
  const ofTurns = Object.keys(codes).filter((code) => code.startsWith('E_'))
  const wanted = [...ofTurns, ...errorCodes, ...Object.keys(noticeCodes), 'GUARD_REQUIRED', 'RUN_HAS_OPEN_TURN']
  equal(
    wanted.filter((code) => !table.includes(`\`${code}\``)),
    [],
  )
})

page('has an example that runs as it stands there, and prints what it says', () => {
  const [, example = '', said = ''] =
    /<!-- run by test\/docs\/turns\.test\.ts -->\n```ts\n([\s\S]*?)```\n\nIt prints (.*)\n/.exec(text) ?? []
  const dir = mkdtempSync(join(tmpdir(), 'lockstep turns '))
  const file = join(dir, 'example.mts')
  const index = JSON.stringify(join(project, 'src/index.ts'))
  const source = example
    .replace("'lockstep'", index)
    .replace('const ledger', `const dir = ${JSON.stringify(dir)}\nconst ledger`)
  writeFileSync(file, source)
  const tsx = join(project, 'node_modules/tsx/dist/loader.mjs')
  const run = spawnSync(process.execPath, ['--import', tsx, file], { encoding: 'utf8' })
  rmSync(dir, { recursive: true })
  is(run.stderr, '')
  equal(
    run.stdout.trim().split('\n'),
    [...said.matchAll(/`([^`]+)`/g)].map(([, line]) => line),
  )
})

page.run()
