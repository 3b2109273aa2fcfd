import type { Layout } from '../../disk/layout.ts'
import { headPlace } from '../head-file.ts'
import { Heads } from '../heads.ts'
import type { Log, TreeHead } from '../log.ts'
import { signersOf } from '../signer.ts'

/**
 * Signs and keeps the first head of a ledger that is being made, so that no ledger is ever without one. `last` is the
 * head of the ledger that it continues. Errors: those of `Heads.sign`.
 */
export async function keepFirstHead(log: Log, layout: Layout, last?: TreeHead): Promise<void> {
  const heads = new Heads({ last, log, place: headPlace(layout.head), signers: (size) => signersOf(log, layout, size) })
  await heads.sign(log.head().size)
}
