import { rmSync } from 'node:fs'
import { nanoid } from 'nanoid'
import { syncFolder, writeDurably } from '../disk/durable.ts'
import { createKey } from '../disk/key-file.ts'
import type { Layout } from '../disk/layout.ts'
import { recordPlace } from '../disk/place.ts'
import { LockstepError } from '../errors.ts'
import type { RecordedActor } from '../kernel/ids.ts'
import { openLog } from '../log/level/open/open.ts'
import { sha256 } from '../log/sha256.ts'
import { assertOwnKey, keyTextOf } from '../log/signer.ts'
import { formatVkey } from '../merkle/vkey.ts'
import { newIdentity } from '../nouns/create.ts'
import { renameLedger } from './renamed.ts'

export interface AdoptOptions {
  actor: RecordedActor
  /** `moved`: this ledger goes on, and the original is gone. `copied`: the original goes on, and this becomes another. */
  as: 'copied' | 'moved'
  openWaitSeconds: number
  /** For a copy: its new name. Default: `lockstep.local/<ledger_id>`. */
  origin?: string | undefined
}

/** An adopted ledger. `token_offset` is present for a copy. */
export interface AdoptedLedger {
  adopted: 'copied' | 'moved'
  dir: string
  origin: string
  size: number
  token_offset?: number
  vkey: string
}

/**
 * Says which ledger a copied or moved root is, so that it can be opened again. A copy gets a new name, a new key, and
 * tokens above those of the original. The record of the place is written last. After a crash the ledger is still
 * refused as copied, and the same command completes it.
 * Errors: those of `openLog`; LEDGER_CORRUPT for a ledger whose key is not its own.
 * Cost: that of an open that trusts no file: a pass over the database.
 */
export async function adoptLedger(layout: Layout, options: AdoptOptions): Promise<AdoptedLedger> {
  const { actor, as, openWaitSeconds } = options
  const log = await openLog({
    layout,
    openWaitSeconds,
    command: 'lockstep adopt',
    isAdopting: true,
    nonce: () => nanoid(12),
  })
  try {
    const renamed: { token_offset?: number } = {}
    if (as === 'copied') {
      const identity = newIdentity(options.origin)
      // The head file stays until a head with the new name is signed, which continues it.
      for (const path of [layout.key, layout.nextKey]) rmSync(path, { force: true })
      const { publicKey } = createKey(layout.key)
      const vkey = formatVkey({ name: identity.origin, publicKey }, sha256)
      await writeDurably(layout.vkey, `${vkey}\n`)
      syncFolder(layout.home)
      renamed.token_offset = (await renameLedger(log, { actor, by: 'adopt', identity, vkey })).token_offset
    }
    await assertOwnKey(log, layout)
    const vkey = (await keyTextOf(log)).trimEnd()
    if (as === 'copied') await log.sign(log.head().size)
    await recordPlace(layout.home)
    return { adopted: as, dir: layout.root, origin: log.meta.origin, size: log.head().size, ...renamed, vkey }
  } catch (error) {
    if (as === 'copied' || !(error instanceof LockstepError) || error.code !== 'LEDGER_CORRUPT') throw error
    const hint = 'If an "adopt --copied" was interrupted here, run it again.'
    throw new LockstepError(error.code, error.message, { details: error.details, hint, cause: error })
  } finally {
    await log.close()
  }
}
