import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

// The last step of the build stores the code that V8 compiles for a lock command, which must start fastest.
const inFolderOf = (file: string) => fileURLToPath(new URL(file, import.meta.url))

const scratch = mkdtempSync(join(tmpdir(), 'lockstep-compile-'))
try {
  for (const bundle of ['command.cjs', 'served.cjs']) rmSync(inFolderOf(`${bundle}.compiled`), { force: true })
  lockstep({}, 'init')
  lockstep({ LOCKSTEP_COMPILE: inFolderOf('command.cjs') }, 'lock', 'acquire', 'compile', '--holder', 'build')
  await overService()
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

/** A command over a service is another bundle. */
async function overService(): Promise<void> {
  const service = spawn(process.execPath, [inFolderOf('main.js'), 'serve'], {
    env: environmentWith({}),
    stdio: 'ignore',
  })
  try {
    const until = performance.now() + 20_000
    // A socket that would have too long a path is elsewhere, and `socket` names it.
    const doesListen = () => ['service.sock', 'socket'].some((file) => existsSync(join(scratch, '.lockstep', file)))
    while (!doesListen() && performance.now() < until) await pause(50)
    lockstep({ LOCKSTEP_COMPILE: inFolderOf('served.cjs') }, 'lock', 'acquire', 'served', '--holder', 'build')
  } finally {
    service.kill()
    await new Promise((resolve) => service.once('exit', resolve))
  }
}

function environmentWith(more: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...process.env, ...more, LOCKSTEP_DIR: scratch }
}

function lockstep(env: NodeJS.ProcessEnv, ...words: string[]): void {
  const { status, stderr } = spawnSync(process.execPath, [inFolderOf('main.js'), ...words], {
    env: environmentWith(env),
  })
  if (status !== 0) throw new Error(`lockstep ${words.join(' ')}: exit ${status}: ${stderr}`)
}
