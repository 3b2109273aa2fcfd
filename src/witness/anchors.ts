import { dirname, relative, resolve } from 'node:path'
import type { Api } from '../api/api.ts'
import { makeFolder, writeDurably } from '../disk/durable.ts'
import type { Layout } from '../disk/layout.ts'
import { readTextFile } from '../disk/regular-file.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { assertExtends } from './fork.ts'
import { sendSmall } from './http.ts'
import { checkpointIn } from './kept-notes.ts'

/**
 * Puts the newest signed checkpoint in a second place: a file, durably, or a URL that takes PUT. The checkpoint that a
 * file has must be one that the ledger extends. Errors: LEDGER_FORKED, FILE_FAILED and others of files, INVALID_INPUT
 * (a file that is not a checkpoint of this ledger, a place inside `.lockstep`).
 */
export async function sendToAnchor(
  ledger: Pick<Api, 'head' | 'keys' | 'log'>,
  layout: Layout,
  place: string,
): Promise<void> {
  const { checkpoint } = await ledger.head.signed()
  if (/^https?:/i.test(place)) return put(place, checkpoint)
  const path = resolve(layout.root, place)
  if (!relative(layout.home, path).startsWith('..'))
    throw new LockstepError('INVALID_INPUT', `${path} is inside ${layout.home}, which is no second place`)
  const kept = readTextFile(path, limits.homeFileBytes, (is) => notOurs(path, is))
  if (kept === checkpoint) return
  if (kept !== undefined) {
    if (checkpointIn(kept)?.origin !== checkpointIn(checkpoint)?.origin)
      throw notOurs(path, 'is not a checkpoint of this ledger')
    await assertExtends(ledger, layout, kept)
  }
  makeFolder(dirname(path))
  await writeDurably(path, checkpoint)
}

async function put(url: string, checkpoint: string): Promise<void> {
  const headers = { 'content-type': 'text/plain; charset=utf-8' }
  const millis = limits.witnessAnswerMillisMax
  const { status } = await sendSmall(url, { body: checkpoint, headers, method: 'PUT', millis })
  if (status >= 200 && status < 300) return
  throw new LockstepError('FILE_FAILED', `${new URL(url).host} answered ${status}`, { details: { status } })
}

function notOurs(path: string, is: string): LockstepError {
  return new LockstepError('INVALID_INPUT', `${path} ${is}, so it was left as it is`, {
    hint: 'Name another file in the configuration, or move this one away.',
  })
}
