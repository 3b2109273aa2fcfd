import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { compileTree } from '../compile.ts'
import { compiledTree } from '../runner.ts'

let own: string | undefined

/**
 * A source or fixture of this repository as plain JavaScript. Processes that live for a few hundred milliseconds
 * and are killed by the hundred cannot pay tsx's start-up each time, and `dist` holds no fixtures.
 */
export function compiled(path: string): string {
  own ??= compiledTree ?? compileTree()
  return join(own, path.replace(/\.ts$/, '.js'))
}

/** A compiled module, loaded into this process; the children that it starts need no loader then. */
export async function importCompiled<Module>(path: string): Promise<Module> {
  const file = compiled(path)
  process.execArgv = []
  return (await import(pathToFileURL(file).href)) as Module
}
