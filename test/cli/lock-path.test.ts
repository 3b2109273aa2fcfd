import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const paths = suite('lockstep lock with --path')

paths('acquires several paths at once, each from the folder in which it was written', async () => {
  const root = temporaryRoot()
  await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
  const folder = join(root, 'packages')
  mkdirSync(join(folder, 'src'), { recursive: true })
  const inFolder = (...words: string[]) => lockstep(words, { cwd: folder })
  const held = await inFolder('lock', 'acquire', '--path', 'src', '--path', '../package.json', '--holder', 'agent-1')
  equal([held.status, held.json.paths], [0, ['package.json', 'packages/src/']], held.stdout)
  const below = await inFolder('lock', 'acquire', '--path', 'src/new.ts', '--path', 'other.ts', '--holder', 'agent-2')
  equal([below.status, below.json.code, below.json.holder], [75, 'LOCK_CONTENTION', 'agent-1'], below.stdout)
  const beside = await inFolder('lock', 'acquire', '--path', 'other.ts', '--holder', 'agent-2')
  equal([beside.status, beside.json.paths], [0, ['packages/other.ts']], beside.stdout)
  const glob = await inFolder('lock', 'acquire', '--path', 'src/**/*.ts', '--holder', 'agent-2')
  equal([glob.status, glob.json.code], [2, 'INVALID_INPUT'], glob.stdout)
  const run = await inFolder('lock', 'run', '--path', 'src', '--holder', 'agent-2', '--', 'true')
  is(run.status, 75, run.stdout)
  await endsWithVerify(root)
})

paths.run()
