import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

// The last step of the build stores the code that V8 compiles for a lock command, which must start fastest.
const inFolderOf = (file: string) => fileURLToPath(new URL(file, import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'lockstep-compile-'))
try {
  rmSync(inFolderOf('command.cjs.compiled'), { force: true })
  lockstep({}, 'init', '--no-operator-token')
  lockstep({ LOCKSTEP_COMPILE: inFolderOf('command.cjs') }, 'lock', 'acquire', 'compile', '--holder', 'build')
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

function lockstep(env: NodeJS.ProcessEnv, ...words: string[]): void {
  const environment = { ...process.env, ...env, LOCKSTEP_DIR: scratch }
  const { status, stderr } = spawnSync(process.execPath, [inFolderOf('main.js'), ...words], { env: environment })
  if (status !== 0) throw new Error(`lockstep ${words.join(' ')}: exit ${status}: ${stderr}`)
}
