import { createPublicKey, verify as verifySignature } from 'node:crypto'
import { keyAt, type SigningKey, wrongKey } from '../disk/key-file.ts'
import type { Layout } from '../disk/layout.ts'
import { askSigner, type SignerCommand, signerFailed } from '../disk/signer-command.ts'
import { type LedgerState, loadedConfig } from '../domain/log/configuration.ts'
import type { KeyState } from '../domain/log/keys.ts'
import { ledgerStream } from '../domain/log/stream.ts'
import { invariant, LockstepError } from '../errors.ts'
import type { Config } from '../kernel/config.ts'
import type { Row } from '../kernel/decider.ts'
import type { Checkpoint } from '../merkle/checkpoint.ts'
import { toBase64 } from '../merkle/hash.ts'
import { formatKeys, type KeyInForce, keysFrom, verifyHeadByKeys } from '../merkle/keys.ts'
import type { NoteSigner } from '../merkle/note.ts'
import { formatVkey, keyIdOf, type Parsed, parseVkey } from '../merkle/vkey.ts'
import { identitySeq } from './identity.ts'
import type { Log, LogReader } from './log.ts'
import { sha256 } from './sha256.ts'
import { entryAt } from './tiles.ts'

/** Signs for the ledger. `vkey` is the line of the key that verifies its signatures. */
export type Signer = NoteSigner & { readonly vkey: string }

/** A log whose ledger is known. */
type NamedLog = LogReader & Pick<Log, 'meta'>

/** The keys that the ledger has and had, oldest first. Cost: two reads. */
export async function keysOf(log: NamedLog): Promise<readonly KeyState[]> {
  const state = (await ledgerRow(log))?.state as LedgerState | undefined
  if (state?.keys !== undefined) return state.keys
  const vkey = String((await entryAt(log, identitySeq(log.meta, log.head().size)))?.data.vkey)
  return [{ vkey, from: 0, to: null }]
}

/**
 * The text of `key.pub`, which is all that a verifier needs: the line of the first key, and the signed statements of all
 * changes since. After a loss, an adopted key is the first. Cost: two reads, and one for each change.
 */
export async function keyTextOf(log: NamedLog): Promise<string> {
  const keys = await keysOf(log)
  const first = keys.findLast(({ adopted }) => adopted) ?? keys[0]
  const seqs = keys.flatMap(({ end_seq, seq }) => [seq, end_seq]).filter((seq) => seq !== undefined)
  const statements: string[] = []
  for (const seq of [...new Set(seqs)].sort((one, other) => one - other)) {
    if (seq >= (first?.seq ?? 0)) statements.push(String((await entryAt(log, seq))?.data.statement))
  }
  return formatKeys(first?.vkey ?? '', statements)
}

/**
 * The keys that sign the tree head of a size: those that were in force at it and whose private key is in a file of the
 * ledger or with the command of the configuration in force. Errors: KEY_MISSING, KEY_NOT_IN_FORCE, LEDGER_CORRUPT (the
 * file has another key), FILE_DENIED.
 */
export async function signersOf(log: Log, layout: Layout, size: number): Promise<readonly [Signer, ...Signer[]]> {
  const { origin } = log.meta
  const keys = await keysOf(log)
  const command = await signerCommandOf(log)
  const files = keysIn(layout, origin)
  const signers: Signer[] = []
  const asked = keys.filter(({ from, to }) => from <= size && (to === null || size <= to))
  for (const { vkey } of asked) {
    const file = files.get(vkey)
    if (file !== undefined) signers.push(fileSigner(origin, vkey, file))
    else if (command !== undefined) signers.push(await commandSigner(command, vkey))
  }
  const [first, ...others] = signers
  if (first !== undefined) return [first, ...others]
  if (asked.every(({ to }) => to !== null)) throw notInForce(size, keys)
  await assertOwnKey(log, layout)
  throw keyMissing(layout)
}

/** Whether a private key in force is in a file or with a command, which is not asked. A key of wrong mode is not there. */
export async function hasKey(log: Log, layout: Layout): Promise<boolean> {
  if ((await signerCommandOf(log)) !== undefined) return true
  try {
    const files = keysIn(layout, log.meta.origin)
    return (await keysOf(log)).some(({ to, vkey }) => to === null && files.has(vkey))
  } catch (error) {
    if (error instanceof LockstepError) return false
    throw error
  }
}

/** Errors: LEDGER_CORRUPT if `.lockstep/key` is not a key of the ledger, FILE_DENIED. A missing file passes. */
export async function assertOwnKey(log: Log, layout: Layout): Promise<void> {
  const file = keyAt(layout, layout.key)
  if (file === undefined) return
  const vkey = formatVkey({ name: log.meta.origin, publicKey: file.publicKey }, sha256)
  const keys = await keysOf(log)
  if (!keys.some((key) => key.vkey === vkey)) throw wrongKey(layout.key, 'is the key of another ledger')
}

/** A key in a file of the ledger, as a signer. */
export function fileSigner(name: string, vkey: string, { publicKey, sign }: SigningKey): Signer {
  return { name, keyId: keyIdOf({ name, publicKey }, sha256), vkey, sign }
}

/** A key that a command holds, as a signer. What the command answers is checked. Errors of `sign`: SIGNER_FAILED. */
export async function commandSigner(command: SignerCommand, vkey: string): Promise<Signer> {
  const key = await parseVkey(vkey, sha256)
  invariant(key.ok, 'a key of the ledger has a valid line')
  const { keyId, name, publicKey } = key.value
  const sign = async (message: Uint8Array) => {
    const signature = await askSigner(command, ['lockstep-signer/v1 sign', vkey, toBase64(message)], 64)
    if (!isSignatureOf(publicKey, message, signature)) throw signerFailed(command, `does not sign with the key ${vkey}`)
    return signature
  }
  return { name, keyId, vkey, sign }
}

/** The line of the key that a command offers to a ledger. Errors: SIGNER_FAILED. */
export async function offeredVkey(command: SignerCommand, name: string): Promise<string> {
  return formatVkey({ name, publicKey: await askSigner(command, ['lockstep-signer/v1 public-key', name], 32) }, sha256)
}

/** The command in the configuration in force; undefined if the key is a file. An edited file has no effect. */
export async function signerCommandOf(log: LogReader): Promise<SignerCommand | undefined> {
  const digest = loadedConfig(await ledgerRow(log))?.sha256
  if (digest === undefined) return undefined
  const [text] = await log.load([{ view: 'object', key: digest }])
  // The text was checked against the schema before it came in force.
  return (JSON.parse(String(text)) as Partial<Config>).signer?.command
}

/** The keys in the files of the ledger, by their lines. */
export function keysIn(layout: Layout, name: string): ReadonlyMap<string, SigningKey> {
  const keys = [layout.key, layout.nextKey].map((path) => keyAt(layout, path)).filter((key) => key !== undefined)
  return new Map(keys.map((key) => [formatVkey({ name, publicKey: key.publicKey }, sha256), key]))
}

/** KEY_MISSING. */
function keyMissing({ key }: Pick<Layout, 'key'>): LockstepError {
  return new LockstepError('KEY_MISSING', `the private key ${key} is missing, so nothing can be signed`, {
    hint: 'Restore the file from a copy. If the key is lost, run "lockstep key adopt" with a checkpoint that was kept elsewhere.',
  })
}

function notInForce(size: number, keys: readonly KeyState[]): LockstepError {
  const first = Math.min(...keys.filter(({ to }) => to === null).map(({ from }) => from))
  return new LockstepError('KEY_NOT_IN_FORCE', `no key that signs now was in force at size ${size}`, {
    details: { size, signs_from: first },
    hint: `Ask for a size of at least ${first}, and prove with a consistency proof that it extends the earlier tree.`,
  })
}

/** The checkpoint in a note, if one of these keys of the ledger signed it that was in force at its size. */
export async function checkpointBy(note: string, states: readonly KeyState[]): Promise<Parsed<Checkpoint>> {
  const keys: KeyInForce[] = []
  for (const { from, to, vkey } of states) {
    const key = await parseVkey(vkey, sha256)
    if (!key.ok) return key
    keys.push({ vkey, key: key.value, from, to: to ?? undefined })
  }
  return verifyHeadByKeys(note, keys, isSignatureOf)
}

/**
 * The checkpoint in a note, if a key signed it that was in force at its size. `trusted` is a key line or the text of
 * `key.pub`; statements of `claimed` are followed from there (`keysFrom`).
 */
export async function checkpointIn(note: string, trusted: string, claimed?: string): Promise<Parsed<Checkpoint>> {
  const keys = await keysFrom(trusted, { hash: sha256, verify: isSignatureOf }, claimed)
  return keys.ok ? verifyHeadByKeys(note, keys.value, isSignatureOf) : keys
}

/** Whether a signature is of this raw Ed25519 key. */
export function isSignatureOf(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const x = Buffer.from(publicKey).toString('base64url')
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  return verifySignature(null, message, key, signature)
}

async function ledgerRow(log: LogReader): Promise<Row | undefined> {
  const [row] = await log.load([{ view: 'row', key: ledgerStream }])
  return row as Row | undefined
}
