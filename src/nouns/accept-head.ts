import type { HeadAcceptedData } from '../domain/log/origin.ts'
import { treeHeadOf } from '../log/tiles.ts'
import { type Core, submit } from '../writer/core.ts'

/** A head file that was missing or not of this ledger, and that an operator goes on without. */
export type AcceptedHead = Pick<HeadAcceptedData, 'kept' | 'problem' | 'reason'>

/**
 * Records that the ledger goes on without the head file that it had, and signs a new head. After a crash in between the
 * head file is still missing, and must be accepted again. Errors: those of the signer.
 */
export async function acceptHead(core: Core, { kept, problem, reason }: AcceptedHead): Promise<void> {
  const { log } = core
  const { root, size } = treeHeadOf(log)
  await submit(core, { type: 'ledger.accept_head', data: { kept, problem, reason, root, size } })
  await log.sign(log.head().size)
}
