import { pipeline } from 'node:stream/promises'
import { mediaTypes } from '../api/wire.ts'
import { sha256Schema } from '../kernel/vocabulary.ts'
import type { LocalLedger } from '../ledger.ts'
import { parse } from '../writer/parse.ts'
import type { Exchange } from './exchange.ts'
import { demandType } from './input.ts'
import { invalid } from './problem.ts'

/**
 * Keeps the body of a request under its digest. It is hashed while it arrives and is not held in memory. Errors:
 * UNSUPPORTED_MEDIA_TYPE, those of `Uploads.put`.
 */
export async function takeObject(exchange: Exchange, digest: string, { uploads }: LocalLedger): Promise<void> {
  const asked = parse(sha256Schema, digest, 'the digest in the URL')
  demandType(exchange, mediaTypes.lines)
  const length = Number(exchange.header('content-length') ?? 0)
  if (length > uploads.bytesMax) throw uploads.tooLarge()
  exchange.sendJson(await uploads.put(asked, bodyOf(exchange)))
}

/** What is left of a refused body is read and dropped, so that its sender gets the answer. */
async function* bodyOf({ incoming, outgoing }: Exchange): AsyncGenerator<Uint8Array> {
  // Once Node has answered what it could not parse, it tells nobody that the body ends too early.
  const cutOff = () => void incoming.destroy(new Error('the connection is gone'))
  outgoing.once('close', cutOff)
  if (outgoing.destroyed) cutOff()
  try {
    yield* incoming.iterator({ destroyOnReturn: false })
  } catch (error) {
    if (!incoming.complete) throw invalid('the request was cut off')
    throw error
  } finally {
    outgoing.off('close', cutOff)
    incoming.resume()
  }
}

/** Sends an upload, or an object that the ledger has. Errors: NOT_FOUND. */
export async function sendObject(exchange: Exchange, digest: string, ledger: LocalLedger): Promise<void> {
  const asked = parse(sha256Schema, digest, 'the digest in the URL')
  const upload = await ledger.uploads.get(asked)
  if (upload === undefined) {
    const { text } = await ledger.workspaces.object({ digest: asked })
    exchange.send(200, mediaTypes.json, text)
    return
  }
  exchange.begin(mediaTypes.lines, { 'Content-Length': String(upload.bytes) })
  if (exchange.incoming.method === 'HEAD') exchange.outgoing.end()
  // A reader that goes away needs no answer, and the rest of the upload is not read.
  else await pipeline(upload.chunks, exchange.outgoing).catch(() => exchange.outgoing.destroy())
}
