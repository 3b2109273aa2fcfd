import type { LocalLedger } from '../../src/ledger.ts'
import { withLog } from './opened-log.ts'

/** The run whose turns are tested. */
export const run_id = 'run_one_1'
/** The types of the entries from a seq on. */
export const typesOf = async (ledger: LocalLedger, from = 0) => {
  const types: string[] = []
  for await (const { type } of ledger.log.read({ from })) types.push(type)
  return types
}

/** The digest of the first body of the first turn. */
export async function bodyDigest(ledger: LocalLedger): Promise<string> {
  const { manifest_digest } = await ledger.turns.get({
    run_id,
    turn_id: (await ledger.turns.list({ run_id })).turns[0]?.turn_id ?? '',
  })
  const { triplets } = (await ledger.workspaces.object({ digest: manifest_digest ?? '' })).value as unknown as {
    triplets: { body_digest: string }[]
  }
  return triplets[0]?.body_digest ?? ''
}

/** How many objects a ledger that is closed has, besides the configuration that it was created with. */
export async function objectsIn(root: string): Promise<number> {
  return withLog(root, async (log) => {
    let objects = 0
    const snapshot = log.stored()
    for await (const page of snapshot.scan({ gte: Buffer.from('o'), lt: Buffer.from('p') })) objects += page.length
    await snapshot.close()
    return objects - 1
  })
}
