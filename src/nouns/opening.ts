import type { HeadAcceptedData } from '../domain/log/origin.ts'
import { formatVersion } from '../kernel/format.ts'
import { treeHeadOf } from '../log/tiles.ts'
import { type Core, submit } from '../writer/core.ts'

/** A head file that was missing or not of this ledger, and that an operator goes on without. */
export type AcceptedHead = Pick<HeadAcceptedData, 'kept' | 'problem' | 'reason'>

/**
 * Records that this process writes from now on, what the first open of this version changes, and a head file that was
 * accepted, before anything else.
 */
export async function recordOpening(core: Core, accepted: AcceptedHead | undefined): Promise<void> {
  const term = core.log.custody?.term
  if (term !== undefined) await submit(core, { type: 'seat.take', data: term })
  if (core.log.meta.format !== formatVersion) await raiseFormat(core)
  if (accepted !== undefined) await acceptHead(core, accepted)
}

/**
 * Raises a ledger of an older format to this version's, with one entry and the meta row in the same batch (ADR 0063).
 * There is no way back. The head is signed first, so that a ledger of this format has a signed head after every crash. A
 * ledger whose head cannot be signed keeps its format. Cost: one sync, once in a ledger's life.
 */
async function raiseFormat(core: Core): Promise<void> {
  const { log } = core
  const { root, size } = treeHeadOf(log)
  const head_size = log.headFile()?.size ?? null
  if (!(await log.keepHead())) return
  log.raise()
  await submit(core, {
    type: 'ledger.upgrade',
    data: { from: log.meta.format, head_size, root, size, to: formatVersion },
  })
}

/**
 * Records that the ledger goes on without the head file that it had, and signs a new head. After a crash in between the
 * head file is still missing, and must be accepted again. Errors: those of the signer.
 */
async function acceptHead(core: Core, { kept, problem, reason }: AcceptedHead): Promise<void> {
  const { log } = core
  const { root, size } = treeHeadOf(log)
  await submit(core, { type: 'ledger.accept_head', data: { kept, problem, reason, root, size } })
  await log.sign(log.head().size)
}
