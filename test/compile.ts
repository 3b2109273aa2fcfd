import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './runner.ts'

const folders = ['src', 'test', 'bench', 'contract', 'fixtures']
/** What sources find beside themselves that no compiler makes. */
const links = ['bench/million-fresh.mjs', 'contract/conformance', 'contract/v1', 'dist']

/**
 * All TypeScript of the repository as plain JavaScript, in a tree of the same shape that is removed at exit: a test
 * file starts in a third of the time that a loader takes. Types are for `npm run check`.
 */
export function compileTree(): string {
  const tree = join(root, 'node_modules', '.cache', `lockstep-tests-${process.pid}`)
  process.once('exit', () => rmSync(tree, { recursive: true, force: true }))
  for (const folder of folders) mkdirSync(join(tree, folder), { recursive: true })
  copyFileSync(join(root, 'package.json'), join(tree, 'package.json'))
  for (const link of links) symlinkSync(join(root, link), join(tree, link))
  const options =
    '--ignoreConfig --noCheck --inlineSourceMap --target es2023 --module nodenext --moduleResolution nodenext'
  const places = ['--rewriteRelativeImportExtensions', '--rootDir', root, '--outDir', tree]
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const words = [tsc, ...options.split(' '), ...places, ...folders.flatMap(typescriptIn)]
  const { status, stdout } = spawnSync(process.execPath, words, { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Error(`tsc ended with ${status}: ${stdout}`)
  return tree
}

function typescriptIn(folder: string): string[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts')).map((name) => join(folder, name))
}
