import { limits } from '../core/limits.ts'
import { codes } from '../errors.ts'
import type { Layout } from '../fs/layout.ts'
import { problemError, programBeside, runChild } from '../log/child.ts'
import { distrust } from '../log/open.ts'
import type { Progress, Verified } from './verify.ts'

const program = programBeside(import.meta.url, '../ledger/verify-child')

/**
 * Verifies a ledger in a process of its own: damage that makes LevelDB abort ends that one, and is LEDGER_CORRUPT
 * here. It has the ledger open meanwhile, so it waits for who has it, and others wait for it; a ledger that a service
 * has open is verified by `ledger.verify()` there. What fails makes the next open read every byte. With `rebuild` the
 * rows and receipts are derived anew from the entries before.
 * Errors: those of `verifyLog`, and LEDGER_UNAVAILABLE (busy for too long, naming the owner).
 */
export async function verifyInChild(
  layout: Layout,
  {
    onProgress,
    openWaitSeconds = limits.openWaitSecondsDefault,
    rebuild = false,
  }: { onProgress?: (progress: Progress) => void; openWaitSeconds?: number; rebuild?: boolean } = {},
): Promise<Verified> {
  const words = [layout.root, String(openWaitSeconds), ...(rebuild ? ['rebuild'] : [])]
  const { problem, value } = await runChild(program, words, {
    waitSeconds: openWaitSeconds,
    onLine: (line) => {
      const [done = 0, total = 0] = line.split(' ').map(Number)
      onProgress?.({ done, total })
    },
  })
  if (problem === undefined) return value as Verified
  if (codes[problem.code].exit === codes.VERIFY_FAILED.exit) await distrust(layout)
  throw problemError(problem)
}
