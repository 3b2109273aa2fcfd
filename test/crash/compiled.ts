import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from '../runner.ts'

const cache = join(root, 'node_modules', '.cache', `lockstep-crash-${process.pid}`)
let isThere = false

/**
 * A source or fixture of this repository as plain JavaScript. Processes that live for a few hundred milliseconds
 * and are killed by the hundred cannot pay tsx's start-up each time, and `dist` holds no fixtures.
 */
export function compiled(path: string): string {
  if (!isThere) compile()
  return join(cache, path.replace(/\.ts$/, '.js'))
}

/** A compiled module, loaded into this process; the children that it starts need no loader then. */
export async function importCompiled<Module>(path: string): Promise<Module> {
  const file = compiled(path)
  process.execArgv = []
  return (await import(pathToFileURL(file).href)) as Module
}

function compile(): void {
  const sources = [...typescriptIn('src'), ...typescriptIn('fixtures/crash')]
  mkdirSync(cache, { recursive: true })
  process.once('exit', () => rmSync(cache, { recursive: true, force: true }))
  // Inside node_modules a package.json of its own says what the files are.
  writeFileSync(join(cache, 'package.json'), '{ "type": "module" }\n')
  const options = '--ignoreConfig --noCheck --target es2023 --module nodenext --moduleResolution nodenext'.split(' ')
  const places = ['--rewriteRelativeImportExtensions', '--rootDir', '.', '--outDir', cache]
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const { status, stdout } = spawnSync(process.execPath, [tsc, ...options, ...places, ...sources], {
    cwd: root,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`tsc ended with ${status}: ${stdout}`)
  isThere = true
}

function typescriptIn(folder: string): string[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.endsWith('.ts')).map((name) => join(folder, name))
}
