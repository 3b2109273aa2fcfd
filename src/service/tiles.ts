import { head, log } from '../api/log.ts'
import { grantsOf, type TokenGrant } from '../api/operation.ts'
import { mediaTypes, tilesPath } from '../api/wire.ts'
import { LockstepError } from '../errors.ts'
import type { LocalLedger } from '../ledger.ts'
import { parseTilePath } from '../merkle/tiles.ts'
import type { Exchange } from './exchange.ts'

/** A tile never changes. Only the caller may keep it, because it was sent to the caller's token. */
const forever = { 'Cache-Control': 'private, max-age=31536000, immutable' }

/** The grants for what a URL asks for: those of the operation that answers with the same facts. */
export function grantsOfTiles(url: string): readonly TokenGrant[] {
  const operation = url.startsWith(tilesPath('tile/entries/')) ? log.read : head.signed
  return grantsOf(operation, '')
}

/** Sends the checkpoint, a tile of hashes or a bundle of entries. Errors: NOT_FOUND, those of `head.signed`. */
export async function sendTile(exchange: Exchange, { tiles }: LocalLedger): Promise<void> {
  const path = exchange.url.slice(tilesPath('').length)
  if (path === 'checkpoint') {
    exchange.send(200, mediaTypes.note, await tiles.checkpoint())
    return
  }
  const name = parseTilePath(path)
  if (name === undefined) throw new LockstepError('NOT_FOUND', `there is no tile ${path.slice(0, 200)}`)
  exchange.send(200, mediaTypes.bytes, await tiles.tile(name), forever)
}
