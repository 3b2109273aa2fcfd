import type { Api } from '../api/api.ts'
import { LockstepError } from '../errors.ts'
import { sha256 } from '../log/sha256.ts'
import { isSignatureOf } from '../log/signer.ts'
import { fromHex, toHex } from '../merkle/hash.ts'
import { type KeyInForce, keysFrom, verifyHeadByKeys } from '../merkle/keys.ts'
import { verifyConsistency } from '../merkle/proofs.ts'
import { verifyQuorum, type WitnessPolicy } from '../merkle/witness-policy.ts'

/** A signed checkpoint that somebody kept in another place than the ledger, and its file. */
export interface Kept {
  file: string
  note: string
}

/** The tree head of a kept checkpoint, and its file. */
export interface KeptHead {
  file: string
  root: string
  size: number
}

/** A proof that the tree of `to` entries begins with the tree of `from` entries, as anyone may deliver it. */
export interface Growth {
  from: number
  proof: string[]
  to: number
}

/** A tree head that was verified, or that the checkpoints are to be compared with. */
type Head = Omit<KeptHead, 'file'>

/** The tree heads of kept checkpoints. Errors: VERIFY_FAILED (`checkpoint`) if no key in force signed one of them. */
export async function keptHeads(kept: readonly Kept[], keys: readonly KeyInForce[]): Promise<KeptHead[]> {
  const heads: KeptHead[] = []
  for (const { file, note } of kept) {
    const signed = await verifyHeadByKeys(note, keys, isSignatureOf)
    if (!signed.ok) throw failed('checkpoint', `${file}: ${signed.reason}`, { file })
    heads.push({ file, root: toHex(signed.value.root), size: signed.value.size })
  }
  return heads
}

/**
 * Checks that a ledger extends each checkpoint that was kept in another place, and returns them. Only a key that was kept
 * there, too, shows who signed them; by default the ledger's own key must have. Errors: VERIFY_FAILED (`checkpoint`,
 * `key`).
 */
export async function compareKept(
  api: Pick<Api, 'keys' | 'log'>,
  { kept, key, root, size }: Head & { kept: readonly Kept[]; key: string | undefined },
): Promise<(KeptHead & { growth: Growth })[]> {
  const { vkey } = await api.keys.list()
  const trusted = await keysFrom(key ?? vkey, { hash: sha256, verify: isSignatureOf }, vkey)
  if (!trusted.ok) throw failed('key', trusted.reason, {})
  const found: (KeptHead & { growth: Growth })[] = []
  for (const head of await keptHeads(kept, trusted.value)) {
    const { file, size: from } = head
    if (from > size) {
      const what = `${file} is a checkpoint of ${from} entries, but the ledger has ${size}: entries were removed`
      throw failed('checkpoint', what, { file, kept_size: from, size })
    }
    const { proof } = await api.log.consistency({ from, to: size })
    const growth = { from, proof, to: size }
    if (!(await isGrowth(growth, head, { root, size }))) {
      const what = `${file}: the first ${from} entries are not those of the checkpoint: the history was changed`
      throw failed('checkpoint', what, { file, kept_size: from, size })
    }
    found.push({ ...head, growth })
  }
  return found
}

/** Checks that a quorum of witnesses cosigned each note. Errors: VERIFY_FAILED (`witnesses`). */
export async function demandQuorum(kept: readonly Kept[], policy: WitnessPolicy): Promise<void> {
  for (const { file, note } of kept) {
    const quorum = await verifyQuorum(note, policy, isSignatureOf)
    if (!quorum.ok) throw notWitnessed(`${file}: ${quorum.reason}`, { file })
  }
}

/** VERIFY_FAILED, because the witnesses that a reader trusts did not see a checkpoint. */
export function notWitnessed(what: string, details: Record<string, string>): LockstepError {
  return new LockstepError('VERIFY_FAILED', what, { details: { check: 'witnesses', ...details } })
}

/** Proofs between kept checkpoints and a signed head of the ledger, and whose key signed the checkpoints. */
export interface GrownFromKept {
  checkpoint: string
  growths: (Growth & { file: string; from_root: string; to_root: string })[]
  /** Whether the caller brought the key of the checkpoints, or the ledger's own was used. */
  key: 'given' | 'own'
  root: string
  size: number
  vkey: string
}

/**
 * Proves to whoever kept checkpoints that this ledger continues them: now, or between them and the tree of `to`. Errors:
 * those of `compareKept`; INVALID_INPUT if the ledger is shorter than `to`.
 */
export async function grownFromKept(
  api: Pick<Api, 'head' | 'keys' | 'log'>,
  { kept, key, to }: { kept: readonly Kept[]; key: string | undefined; to: number | undefined },
): Promise<GrownFromKept> {
  const now = await api.head.signed()
  const at = to === undefined ? now : await api.head.signed({ size: to })
  const growths: GrownFromKept['growths'] = []
  for (const { growth, ...head } of await compareKept(api, { ...now, kept, key })) {
    const [smaller, larger] = head.size < at.size ? [head, at] : [at, head]
    const [from, to] = [smaller.size, larger.size]
    const { proof } = at === now ? growth : await api.log.consistency({ from, to })
    growths.push({ file: head.file, from, from_root: smaller.root, proof, to, to_root: larger.root })
  }
  const { checkpoint, root, size, vkey } = at
  return { checkpoint, growths, key: key === undefined ? 'own' : 'given', root, size, vkey }
}

/**
 * Checks offline that each kept tree head is the beginning of one of these trees, or the other way round. Trees of one
 * size need no proof. Errors: VERIFY_FAILED (`checkpoint`); INVALID_INPUT if the proof between two sizes is missing.
 */
export async function compareOffline(
  kept: readonly KeptHead[],
  trees: readonly Head[],
  growths: readonly Growth[],
): Promise<void> {
  for (const head of kept) {
    const { file, size } = head
    const same = trees.find((tree) => tree.size === size)
    if (same !== undefined && same.root !== head.root) {
      throw failed('checkpoint', `${file}: the key signed another tree of ${size} entries`, {
        file,
        kept_size: size,
        size,
      })
    }
    if (same !== undefined || (await hasProof(head, trees, growths))) continue
    const [tree = head] = trees
    const [from, to] = [Math.min(size, tree.size), Math.max(size, tree.size)]
    throw new LockstepError('INVALID_INPUT', `${file}: the proof between the sizes ${from} and ${to} is missing`, {
      details: { file, from, to },
      hint: `Ask whoever has the ledger for the output of "lockstep consistency ${from} ${to} --json", and pass it with --proof. It need not be trusted.`,
    })
  }
}

async function hasProof(kept: KeptHead, trees: readonly Head[], growths: readonly Growth[]): Promise<boolean> {
  for (const tree of trees) {
    const [smaller, larger] = kept.size < tree.size ? [kept, tree] : [tree, kept]
    const growth = growths.find(({ from, to }) => from === smaller.size && to === larger.size)
    if (growth === undefined) continue
    if (await isGrowth(growth, smaller, larger)) return true
    const what = `the proof does not show that the tree of ${larger.size} entries begins with that of ${smaller.size}`
    throw failed('checkpoint', `${kept.file}: ${what}`, { file: kept.file, kept_size: kept.size, size: tree.size })
  }
  return false
}

function isGrowth({ from, proof, to }: Growth, smaller: Head, larger: Head): Promise<boolean> {
  const [fromRoot, toRoot] = [bytesOf(smaller.root), bytesOf(larger.root)]
  return verifyConsistency({ from, fromRoot, proof: proof.map(bytesOf), to, toRoot }, sha256)
}

/** The bytes of a hash in hex. A text that is none matches nothing. */
const bytesOf = (hex: string) => fromHex(hex) ?? new Uint8Array()

function failed(check: 'checkpoint' | 'key', what: string, details: Record<string, number | string>): LockstepError {
  return new LockstepError('VERIFY_FAILED', what, {
    details: { check, ...details },
    hint: 'If the file and the key are those that were kept, this is not the history that the checkpoint was made of. Keep both as evidence.',
  })
}
