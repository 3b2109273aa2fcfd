import { formatVersion } from '../kernel/format.ts'
import { treeHeadOf } from '../log/tiles.ts'
import { type Core, submit } from '../writer/core.ts'

/**
 * Raises a ledger of an older format to this version's, with one entry and the meta row in the same batch (ADR 0063).
 * There is no way back. It comes before everything else that an open appends. Cost: one sync, once in a ledger's life.
 */
export async function raiseFormat(core: Core): Promise<void> {
  const { log } = core
  const { format: from } = log.meta
  if (from === formatVersion) return
  const { root, size } = treeHeadOf(log)
  const head_size = log.headFile()?.size ?? null
  log.raise()
  await submit(core, { type: 'ledger.upgrade', data: { from, head_size, root, size, to: formatVersion } })
}
