import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Program } from '../domain/policy/command.ts'

/** The folders that the system looks in if there is no PATH. */
const defaultPath = '/bin:/usr/bin'

/**
 * The program that a command would run, found as the system finds it: in PATH, where an empty name is the working
 * directory, or from the working directory if the name has a slash. Undefined if there is none.
 */
export function programOf(name: string, env: NodeJS.ProcessEnv): Program | undefined {
  if (name === '') return undefined
  const folders = name.includes('/') ? [''] : (env.PATH ?? defaultPath).split(':')
  for (const folder of folders) {
    const program = programAt(resolve(folder, name))
    if (program !== undefined) return program
  }
  return undefined
}

/** The program at a path; undefined if there is no file there that this process may run. */
function programAt(path: string): Program | undefined {
  try {
    accessSync(path, constants.X_OK)
    if (!statSync(path).isFile()) return undefined
    return { found: join(realpathSync(dirname(path)), basename(path)), real: realpathSync(path) }
  } catch {
    return undefined
  }
}
