import { fileURLToPath } from 'node:url'
import { LockstepError } from '../errors.ts'
import type { Layout } from '../fs/layout.ts'
import { runChild } from '../log/open.ts'
import type { Progress, Verified } from './verify.ts'

const program = fileURLToPath(new URL(`./verify-child${import.meta.url.slice(-3)}`, import.meta.url))

/**
 * Verifies a ledger that nobody has open, in a process of its own: damage that makes LevelDB abort ends that one, and
 * is LEDGER_CORRUPT here. Errors: those of `verifyLog`, and LEDGER_UNAVAILABLE (busy).
 */
export async function verifyInChild(
  layout: Layout,
  { onProgress, openWaitSeconds = 30 }: { onProgress?: (progress: Progress) => void; openWaitSeconds?: number } = {},
): Promise<Verified> {
  const { problem, value } = await runChild(program, [layout.root, String(openWaitSeconds)], (line) => {
    const [done = 0, total = 0] = line.split(' ').map(Number)
    onProgress?.({ done, total })
  })
  if (problem === undefined) return value as Verified
  const { code, details, hint, message } = problem
  throw new LockstepError(code, message, { details, ...(hint === undefined ? {} : { hint }) })
}
