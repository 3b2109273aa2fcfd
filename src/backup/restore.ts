import { createWriteStream, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { nanoid } from 'nanoid'
import { fileError, makeFolder } from '../disk/durable.ts'
import { realFolder } from '../disk/layout.ts'
import { type Details, LockstepError } from '../errors.ts'
import { filesOfChecked } from '../files/bundle/bundle-reader.ts'
import type { RecordedActor } from '../kernel/ids.ts'
import { limits } from '../kernel/limits.ts'
import type { LevelLog } from '../log/level/level-log.ts'
import { problemError } from '../log/level/open/child.ts'
import { type Examined, examine } from '../log/level/repair/examine.ts'
import { checkpointIn, keyTextOf } from '../log/signer.ts'
import { entryAt } from '../log/tiles.ts'
import { type Checkpoint, parseCheckpoint } from '../merkle/checkpoint.ts'
import { toHex } from '../merkle/hash.ts'
import { newIdentity, type Placing, placeHome } from '../nouns/create.ts'
import { type ContinuedLedger, continueLedger } from './continued.ts'
import { backupFiles } from './write-backup.ts'

export interface RestoreOptions extends Omit<Placing, 'name'> {
  actor: RecordedActor
  /** The text of a signed checkpoint that was kept elsewhere. An older or different backup is refused. */
  checkpoint?: string | undefined
  /** The folder that the restored ledger governs. It is made if it is missing. */
  dir: string
  file: string
  onProgress?: ((done: number, total: number) => void) | undefined
  /** The new name of the ledger. Default: `lockstep.local/<ledger_id>`. */
  origin?: string | undefined
}

/** A restored ledger. `previous` is the ledger in the backup. */
export interface RestoredLedger extends ContinuedLedger {
  dir: string
}

/**
 * Restores a backup into a folder without a ledger. The archive, its database and the kept checkpoint are verified
 * before the ledger is put in place by one rename. The restored ledger has a new name and a new key, because the old
 * ledger may still exist.
 * Errors: VERIFY_FAILED (`archive`, `checkpoint` and those of a verification), LEDGER_EXISTS, INVALID_INPUT, DISK_FULL,
 * FILE_DENIED, NOT_FOUND, FORMAT_TOO_NEW.
 * Cost: three passes over the backup.
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoredLedger> {
  const { acceptPermissions, actor, dir, file, nested } = options
  const kept = options.checkpoint === undefined ? undefined : keptHead(options.checkpoint)
  const identity = newIdentity(options.origin)
  makeFolder(resolve(dir))
  return placeHome(dir, { acceptPermissions, name: identity.ledger_id, nested }, async (home, withoutModes) => {
    const { checkpoint, vkey: oldVkey } = await unpack(file, home)
    const sizes = kept === undefined ? [] : [kept.size]
    const examined = await examine(home, join(home, 'ledger'), {
      nonce: nanoid(12),
      onProgress: options.onProgress,
      sizes,
    })
    if ('problem' in examined) throw problemError({ details: {}, ...examined.problem })
    await compareSigned(checkpoint, oldVkey, examined)
    const inspect = async (log: LevelLog) => {
      const keys = [...(await formerKeysOf(log)), (await keyTextOf(log)).trimEnd()]
      if (keys.at(-1) !== oldVkey) throw failed('key.pub is not the key that the ledger in the backup names')
      if (kept !== undefined) await compareKept(kept, keys, examined)
    }
    const continued = await continueLedger(home, { actor, by: 'restore', identity, inspect, withoutModes })
    return { dir: realFolder(dir), ...continued }
  })
}

/** What a backup says about itself. */
interface Stated {
  checkpoint: string
  vkey: string
}

/** Writes the files of a backup below a new home folder, durably, and returns what they say. */
async function unpack(file: string, home: string): Promise<Stated> {
  const names = new Set<string>()
  for (const folder of ['ledger', 'policy', 'policy/objects']) mkdirSync(join(home, folder), { mode: 0o700 })
  const contents = { isNext: (name: string) => backupFiles.test(name) && !names.has(name) }
  for await (const { chunks, name, size } of filesOfChecked(file, contents)) {
    names.add(name)
    if (!name.startsWith('ledger/') && size > limits.homeFileBytes) throw failed(`${name} is too large`)
    const target = createWriteStream(join(home, name), { flags: 'wx', flush: true, mode: 0o600 })
    await pipeline(chunks, target).catch((error: unknown) => {
      throw fileError(error, `restoring ${name}`)
    })
  }
  const textOf = (name: string) => {
    if (!names.has(name)) throw failed(`${name} is missing`)
    const path = join(home, name)
    const text = readFileSync(path, 'utf8')
    rmSync(path)
    return text
  }
  return { checkpoint: textOf('checkpoint'), vkey: textOf('key.pub').trimEnd() }
}

/** The tree head that a kept checkpoint states. Its signature is checked when the keys of the ledger are known. */
function keptHead(note: string): { note: string; size: number } {
  const parsed = parseCheckpoint(`${note.split('\n\n')[0]}\n`)
  if (!parsed.ok) throw new LockstepError('INVALID_INPUT', `this is not a signed checkpoint: ${parsed.reason}`)
  return { note, size: parsed.value.size }
}

/** Checks that the signed checkpoint in the backup is of exactly the database in it. */
async function compareSigned(note: string, vkey: string, { origin, root, size }: Examined): Promise<void> {
  const head = await verified(note, vkey)
  if (typeof head === 'string') throw failed(`the checkpoint in the backup is invalid: ${head}`)
  if (head.origin === origin && head.size === size && toHex(head.root) === root) return
  throw failed(`the checkpoint is of ${head.origin} at size ${head.size}, the database of ${origin} at size ${size}`)
}

/** Checks that the ledger in the backup once had the kept tree head. */
async function compareKept(
  { note, size }: { note: string; size: number },
  keys: readonly string[],
  examined: Examined,
): Promise<void> {
  const details = { kept_size: size, size: examined.size }
  const heads = await Promise.all(keys.map((vkey) => verified(note, vkey)))
  const head = heads.find((head) => typeof head !== 'string')
  if (head === undefined) throw failed('no key of the ledger in the backup signed the kept checkpoint', details)
  if (size > examined.size) {
    throw failed(`the backup has ${examined.size} entries, but the kept checkpoint has ${size}: it is older`, details)
  }
  if (examined.roots[size] === toHex(head.root)) return
  throw failed(`at size ${size} the backup has another root than the kept checkpoint`, details)
}

/** The tree head in a signed note, or the reason why the key did not sign it. */
async function verified(note: string, vkey: string): Promise<Checkpoint | string> {
  const head = await checkpointIn(note, vkey)
  return head.ok ? head.value : head.reason
}

/** The first keys of the ledgers that this one continues, oldest first. */
async function formerKeysOf(log: LevelLog): Promise<string[]> {
  const seqs = [0, ...(log.meta.restored ?? []).map(({ seq }) => seq)].slice(0, -1)
  const entries = await Promise.all(seqs.map((seq) => entryAt(log, seq)))
  return entries.map((entry) => String(entry?.data.vkey))
}

function failed(what: string, details: Details = {}): LockstepError {
  return new LockstepError('VERIFY_FAILED', what, { details: { check: 'checkpoint', ...details } })
}
