import { spawn } from 'node:child_process'
import type { Socket } from 'node:net'
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
 * Starts the service and ends, so that the service is no descendant of the caller: `lock run` ends the descendants of
 * its command with the lease. A subshell stays behind and reports the exit code of the service.
 */
const script = '{ "$0" "$@" 3>&-; echo "$?" >&3; } &'

/**
 * Starts `lockstep serve` for a root in the background, in a session of its own, and waits until it answers. If several
 * processes do so at once, one service stays and all of them use it. Errors: LEDGER_UNAVAILABLE.
 */
export async function startService(root: string, doesAnswer: () => Promise<boolean>): Promise<void> {
  const words = [process.execPath, inPackage('dist/cli/main.js'), 'serve', '--dir', root, '--idle-exit', idleExit]
  const child = spawn('/bin/sh', ['-c', script, ...words], {
    cwd: root,
    detached: true,
    env: ownEnvironment(),
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  let ending: string | undefined
  child.once('error', ({ message }) => {
    ending = message
  })
  const report = child.stdio[3] as Socket
  report.once('data', (code) => {
    if (Number(code) !== exitUnavailable) ending = `exit code ${code}`.trim()
  })
  try {
    await answering(root, doesAnswer, () => ending)
  } finally {
    report.destroy()
  }
}

/**
 * The environment without Lockstep's own variables: the service serves everybody, so the actor and the lock of the
 * process that starts it are not the service's.
 */
function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('LOCKSTEP_')))
}

async function answering(
  root: string,
  doesAnswer: () => Promise<boolean>,
  endingOf: () => string | undefined,
): Promise<void> {
  const until = performance.now() + limits.serviceStartMillisMax
  while (performance.now() < until) {
    if (await doesAnswer()) return
    if (endingOf() !== undefined) break
    await delay(pollMillis)
  }
  throw new LockstepError('LEDGER_UNAVAILABLE', `the service for ${root} did not start: ${endingOf() ?? 'timed out'}`, {
    details: { outcome: 'not_applied', root },
    hint: `To see why, run "lockstep serve" in ${root}.`,
  })
}
