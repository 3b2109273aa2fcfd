import type { Layout } from '../../../disk/layout.ts'
import { LockstepError } from '../../../errors.ts'
import { limits } from '../../../kernel/limits.ts'
import { sameBytes } from '../../../merkle/hash.ts'
import { checkHead } from '../../check-head.ts'
import { corrupt } from '../../corrupt.ts'
import { Heads } from '../../heads.ts'
import type { SignedHead } from '../../log.ts'
import { signersOf } from '../../signer.ts'
import { rootOf } from '../../tiles.ts'
import type { LevelLog } from '../level-log.ts'

interface Asked {
  layout: Layout
  /** Opens another copy, of the ledger as it is then. */
  later: () => Promise<LevelLog>
  /** The log in this process that the copy was made of, if there is one. */
  owner?: LevelLog
  size: number
}

const pauseMillis = 100

/**
 * The signed tree head of a size, for a copy of a ledger. A copy signs only sizes that a signed head of its own covers, so
 * it cannot sign another history than the owner. For a newer size it waits until the owner has signed a head that covers
 * it, and proves in a later copy that both have the same tree.
 * Errors: LEDGER_UNAVAILABLE (the owner has signed none within the limit), LEDGER_CORRUPT, those of the signer.
 */
export async function signOnCopy(copy: LevelLog, { later, layout, owner, size }: Asked): Promise<SignedHead> {
  const last = copy.headFile()
  if (last?.note !== undefined && size <= last.size) {
    await checkHead(copy, last)
    return new Heads({ last, log: copy, signers: (at) => signersOf(copy, layout, at) }).sign(size)
  }
  const newer = owner?.isOwner ? owner : await coveringCopy(later, size)
  try {
    if (!sameBytes(await rootOf(newer, size), await rootOf(copy, size))) {
      throw corrupt(`the copy has another tree of size ${size} than the ledger, so nothing was signed`)
    }
    return await newer.sign(size)
  } finally {
    if (newer !== owner) await newer.close()
  }
}

/** A copy whose signed head covers a size. */
async function coveringCopy(later: () => Promise<LevelLog>, size: number): Promise<LevelLog> {
  const until = performance.now() + limits.coveringHeadMillisMax
  for (;;) {
    const copy = await later()
    const last = copy.headFile()
    if (last?.note !== undefined && last.size >= size) return copy
    await copy.close()
    if (performance.now() > until) throw notCovered(size, last?.size ?? 0)
    await new Promise((resolve) => setTimeout(resolve, pauseMillis))
  }
}

function notCovered(size: number, signed: number): LockstepError {
  return new LockstepError(
    'LEDGER_UNAVAILABLE',
    `the newest signed head has size ${signed}, so size ${size} is not signed`,
    {
      details: { head_size: signed, outcome: 'not_applied', size },
      hint: `The process that has the ledger open signs a newer head within a second. Try again, or ask for a size of at most ${signed}.`,
    },
  )
}
