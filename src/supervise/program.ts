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
    const found = resolve(folder, name)
    if (!isProgram(found)) continue
    return { found: join(realpathSync(dirname(found)), basename(found)), real: realpathSync(found) }
  }
  return undefined
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
