import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import type { z } from 'zod'
import type { KeysApi } from '../api/keys.ts'
import type * as shapes from '../api/shapes/keys.ts'
import { fileError, isThere, syncFolder, writeDurably } from '../disk/durable.ts'
import { durableKey, keyAt } from '../disk/key-file.ts'
import type { Layout } from '../disk/layout.ts'
import type { KeyState } from '../domain/log/keys.ts'
import { LockstepError } from '../errors.ts'
import type { Actor } from '../kernel/ids.ts'
import { OneByOne } from '../kernel/one-by-one.ts'
import type { Log } from '../log/log.ts'
import { sha256 } from '../log/sha256.ts'
import {
  assertOwnKey,
  checkpointBy,
  commandSigner,
  fileSigner,
  keysIn,
  keysOf,
  keyTextOf,
  offeredVkey,
  type Signer,
  signerCommandOf,
  signersOf,
} from '../log/signer.ts'
import { rootOf, treeHeadOf } from '../log/tiles.ts'
import { fromHex, sameBytes } from '../merkle/hash.ts'
import { formatKeyStatement, type KeyStatement } from '../merkle/keys.ts'
import { signNote } from '../merkle/note.ts'
import { formatVkey } from '../merkle/vkey.ts'
import { type Core, submit } from '../writer/core.ts'
import type { Handlers } from './served.ts'

type Given<Schema extends z.ZodType> = z.output<Schema>

/**
 * The keys that sign the ledger's tree heads. A new private key is durable before the entry that names it, and an old one
 * is deleted only after the entry that retires it. So after a crash at any step the keys that the log names are here, and
 * the next open brings the files in order. Changes run one after the other.
 */
export class Keys implements Handlers<KeysApi> {
  readonly #core: Core
  readonly #changes = new OneByOne()

  constructor(core: Core) {
    this.#core = core
  }

  async list(): Promise<shapes.KeyList> {
    const { layout, log } = this.#core
    const files = keysIn(layout, log.meta.origin)
    const command = await signerCommandOf(log)
    const keys = (await keysOf(log)).map(({ from, to, vkey }) => {
      const held = files.has(vkey) ? 'file' : command !== undefined && to === null ? 'signer' : 'missing'
      return { from, held, status: to === null ? 'in_force' : 'ended', to, vkey } as const
    })
    return { keys, vkey: (await keyTextOf(log)).trimEnd() }
  }

  rotate({ actor }: Given<typeof shapes.rotate>): Promise<shapes.ChangedKey> {
    return this.#changes.run(async () => {
      const { layout, log } = this.#core
      await this.#ask('key.add', actor)
      const [old, other] = inForceOf(await keysOf(log))
      if (old === undefined || other !== undefined) {
        const hint = 'Run "lockstep key retire" first, once every verifier knows the new key.'
        throw conflict('two keys are in force already', hint)
      }
      const signers = await signersOf(log, layout, log.head().size)
      const added = await this.#newSigner()
      if (signers.some(({ vkey }) => vkey === added.vkey)) {
        throw conflict('the signer still offers the key in force', 'Let the command offer a new key first.')
      }
      const change = { by: [old.vkey], change: 'added', vkey: added.vkey } as const
      const signed = await this.#signed(change, [...signers, added])
      return this.#submit({ type: 'key.add', data: { by: old.vkey, ...signed } }, actor)
    })
  }

  retire({ actor, vkey }: Given<typeof shapes.retire>): Promise<shapes.ChangedKey> {
    return this.#changes.run(async () => {
      const { layout, log } = this.#core
      await this.#ask('key.retire', actor)
      const inForce = inForceOf(await keysOf(log))
      const ending = vkey === undefined ? inForce[0] : inForce.find((key) => key.vkey === vkey)
      const remaining = inForce.find((key) => key !== ending)
      if (ending === undefined || remaining === undefined) {
        const hint = 'Run "lockstep key rotate" first: a ledger always keeps one key.'
        throw conflict(ending === undefined ? 'no such key is in force' : 'only one key is in force', hint)
      }
      const signer = (await signersOf(log, layout, log.head().size)).find((key) => key.vkey === remaining.vkey)
      if (signer === undefined) {
        throw new LockstepError('KEY_MISSING', `the private key of ${remaining.vkey}, which would remain, is missing`)
      }
      const change = { by: [remaining.vkey], change: 'retired', vkey: ending.vkey } as const
      const signed = await this.#signed(change, [signer])
      return this.#submit({ type: 'key.retire', data: { by: remaining.vkey, ...signed } }, actor)
    })
  }

  adopt({ actor, checkpoint, reason }: Given<typeof shapes.adopt>): Promise<shapes.ChangedKey> {
    return this.#changes.run(async () => {
      const { layout, log } = this.#core
      await this.#ask('key.adopt', actor)
      await assertOwnKey(log, layout)
      const files = keysIn(layout, log.meta.origin)
      const lost = inForceOf(await keysOf(log)).map((key) => key.vkey)
      if (lost.some((line) => files.has(line))) {
        throw conflict('a private key in force is here', 'Run "lockstep key rotate" instead.')
      }
      await this.#compareKept(checkpoint)
      const added = await this.#newSigner()
      if (lost.includes(added.vkey)) throw conflict('the signer still holds the key in force', 'Run "lockstep doctor".')
      const signed = await this.#signed({ by: lost, change: 'adopted', vkey: added.vkey }, [added])
      return this.#submit({ type: 'key.adopt', data: { checkpoint, lost, reason, ...signed } }, actor)
    })
  }

  /** The key that is to be added: the one that the command offers, or else a new one in a durable file. */
  async #newSigner(): Promise<Signer> {
    const { layout, log } = this.#core
    const { origin } = log.meta
    const command = await signerCommandOf(log)
    if (command !== undefined) return commandSigner(command, await offeredVkey(command, origin))
    await keepGuardSecret(layout)
    const known = await keysOf(log)
    const left = keyAt(layout, layout.nextKey)
    // A key that the log knows has ended. A key that it does not know is from a change that a crash interrupted.
    if (left !== undefined && known.some(({ vkey }) => vkey === lineOf(left))) rmSync(layout.nextKey)
    const key = durableKey(layout, layout.nextKey)
    return fileSigner(origin, lineOf(key), key)

    function lineOf({ publicKey }: { publicKey: Uint8Array }): string {
      return formatVkey({ name: origin, publicKey }, sha256)
    }
  }

  /** The members of an entry about a change at the published tree head, with the statement that the signers sign. */
  async #signed<Change extends Pick<KeyStatement, 'by' | 'change' | 'vkey'>>(
    change: Change,
    signers: readonly Signer[],
  ) {
    const { log } = this.#core
    // Signing the head first proves that the tree continues the last signed one. An adopted key has no such head yet.
    const { origin, root, size } = change.change === 'adopted' ? treeHeadOf(log) : await log.sign(log.head().size)
    const bytes = fromHex(root) ?? new Uint8Array()
    const statement = await signNote(formatKeyStatement({ ...change, origin, root: bytes, size }), signers)
    return { root, size, statement, vkey: change.vkey }
  }

  /** VERIFY_FAILED unless a lost key signed the checkpoint and the log extends it. */
  async #compareKept(note: string): Promise<void> {
    const { log } = this.#core
    const kept = await checkpointBy(note, await keysOf(log))
    if (!kept.ok) throw new LockstepError('VERIFY_FAILED', `the kept checkpoint: ${kept.reason}`)
    const { root, size } = kept.value
    const isExtended = size > 0 && size <= log.head().size && sameBytes(await rootOf(log, size), root)
    if (isExtended) return
    throw new LockstepError('VERIFY_FAILED', `the ledger does not extend the kept checkpoint of size ${size}`, {
      details: { size },
      hint: 'This is not the history that the lost key signed. Keep both as evidence.',
    })
  }

  /** Errors: KEY_DENIED. It is asked before anything is made or signed. */
  async #ask(command: string, actor: Actor | undefined): Promise<void> {
    await submit(this.#core, { type: 'key.ask', command }, { actor })
  }

  async #submit(
    command: Extract<Parameters<typeof submit>[1], { type: 'key.add' | 'key.adopt' | 'key.retire' }>,
    actor: Actor | undefined,
  ): Promise<shapes.ChangedKey> {
    const { entries } = await submit(this.#core, command, { actor })
    await settleKeyFiles(this.#core.log, this.#core.layout)
    const { size, vkey } = command.data
    return { seq: entries[0]?.seq ?? 0, size, vkey }
  }
}

/**
 * Brings the key files in line with the log: removes the private key of a retired key, gives the remaining one its place,
 * and writes `key.pub`. Called after each change and at open, so that a crash between entry and files is made good.
 */
export async function settleKeyFiles(log: Log, layout: Layout): Promise<void> {
  const keys = await keysOf(log)
  if (keys.length === 1) return
  const held = keysIn(layout, log.meta.origin)
  try {
    const isEnded = (path: string) => {
      const key = keyAt(layout, path)
      const vkey = key && formatVkey({ name: log.meta.origin, publicKey: key.publicKey }, sha256)
      return vkey !== undefined && keys.some((known) => known.vkey === vkey && known.to !== null)
    }
    if (isEnded(layout.nextKey)) rmSync(layout.nextKey)
    if (isEnded(layout.key)) rmSync(layout.key)
    const isNamed = keys.some(({ to, vkey }) => to === null && held.has(vkey))
    if (isNamed && !existsSync(layout.key)) renameSync(layout.nextKey, layout.key)
    syncFolder(layout.home)
  } catch (error) {
    throw fileError(error, 'putting the key files in order')
  }
  const text = await keyTextOf(log)
  if (!isThere(layout.vkey) || readFileSync(layout.vkey, 'utf8') !== text) await writeDurably(layout.vkey, text)
}

/**
 * The name by which processes exclude each other follows from the private key. Before the key can change, what the name
 * follows from is kept in a file of its own, so that the name stays.
 */
async function keepGuardSecret({ guardSecret, key }: Layout): Promise<void> {
  if (isThere(guardSecret)) return
  const secret = isThere(key) ? sha256(readFileSync(key)) : randomBytes(32)
  await writeDurably(guardSecret, secret, 0o600)
}

const inForceOf = (keys: readonly KeyState[]) => keys.filter(({ to }) => to === null)

function conflict(message: string, hint: string): LockstepError {
  return new LockstepError('KEY_CONFLICT', message, { hint })
}
