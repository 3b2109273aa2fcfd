import { spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { inPackage } from '../disk/package-folder.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'

/** How long a service that nobody uses goes on, if a client has started it. */
const idleExit = '10m'
const pollMillis = 25
/** The exit code of a service that finds the ledger in use: another process was faster. */
const exitUnavailable = 7

/**
 * Starts `lockstep serve` for a root in the background, in a process group of its own, and waits until it answers. If
 * several processes do so at once, one service stays and all of them use it. Errors: LEDGER_UNAVAILABLE.
 */
export async function startService(root: string, doesAnswer: () => Promise<boolean>): Promise<void> {
  const words = [inPackage('dist/cli/main.js'), 'serve', '--dir', root, '--idle-exit', idleExit]
  const child = spawn(process.execPath, words, { cwd: root, detached: true, stdio: 'ignore' })
  let ending: string | undefined
  child.once('error', ({ message }) => {
    ending = message
  })
  child.once('exit', (code, signal) => {
    if (code !== exitUnavailable) ending = `exit ${code ?? signal}`
  })
  child.unref()
  const until = performance.now() + limits.serviceStartMillisMax
  while (performance.now() < until) {
    if (await doesAnswer()) return
    if (ending !== undefined) break
    await delay(pollMillis)
  }
  throw new LockstepError('LEDGER_UNAVAILABLE', `the service for ${root} did not start: ${ending ?? 'timed out'}`, {
    details: { outcome: 'not_applied', root },
    hint: `To see why, run "lockstep serve" in ${root}.`,
  })
}
