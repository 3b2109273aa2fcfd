import { readKey, wrongKey } from '../disk/key-file.ts'
import type { Layout } from '../disk/layout.ts'
import { readTextFile } from '../disk/regular-file.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { formatVkey } from '../merkle/vkey.ts'
import { headFileCorrupt } from './compare-head-file.ts'
import { corrupt } from './corrupt.ts'
import { problemOfHead } from './head-keys.ts'
import { identitySeq } from './identity.ts'
import type { LogReader, Meta, TreeHeadFile } from './log.ts'
import { sha256 } from './sha256.ts'
import { keysOf } from './signer.ts'
import { entryAt } from './tiles.ts'

/** A log whose ledger is known. */
type NamedLog = LogReader & { meta: Meta }

/**
 * Checks that the ledger's own key signed the head in `.lockstep/head`. From format 2 on a head that is missing or not
 * signed is evidence of a change, too. Its root and size are compared elsewhere (`compareHeadFile`).
 * Errors: LEDGER_CORRUPT.
 */
export async function checkHead(
  log: NamedLog,
  headFile: TreeHeadFile | undefined,
  { acceptsMissing = false }: { acceptsMissing?: boolean | undefined } = {},
): Promise<void> {
  const { format } = log.meta
  if (headFile === undefined) {
    if (format === 1 || acceptsMissing || log.head().size <= 1) return
    throw headFileCorrupt(`.lockstep/head is missing, and the ledger has ${log.head().size} entries`)
  }
  if (format === 1 && headFile.note === undefined) return
  const problem = await problemOfHead(log, headFile)
  if (problem !== undefined) throw headFileCorrupt(`.lockstep/head is not a head of this ledger: ${problem}`)
}

/**
 * Checks that the private key, `key.pub` and the entries that name the ledger's keys agree. The open goes on
 * without a private key: the first signature reports that it is missing or cannot be read. Errors: LEDGER_CORRUPT.
 */
export async function checkKeys(log: NamedLog, layout: Layout): Promise<void> {
  // The first entry of a new ledger is not there yet.
  if (log.head().size === 0) return
  const seq = identitySeq(log.meta)
  const named = (await entryAt(log, seq))?.data.vkey
  if (named === undefined) throw corrupt(`entry ${seq} does not name the key of the ledger`, { check: 'origin', seq })
  const keys = (await keysOf(log)).map((key) => key.vkey)
  const line = readTextFile(layout.vkey, limits.homeFileBytes, (is) => wrongKey(layout.vkey, is))?.split('\n')[0]
  if (line !== undefined && !keys.includes(line)) throw wrongKey(layout.vkey, 'is no key that the ledger names')
  const publicKey = publicKeyIn(layout)
  const vkey = publicKey && formatVkey({ name: log.meta.origin, publicKey }, sha256)
  if (vkey === undefined || keys.includes(vkey)) return
  throw wrongKey(layout.key, 'is no key that the ledger names')
}

function publicKeyIn(layout: Layout): Uint8Array | undefined {
  try {
    return readKey(layout).publicKey
  } catch (error) {
    if (error instanceof LockstepError) return undefined
    throw error
  }
}
