import type { Api } from '../api/api.ts'
import { LockstepError } from '../errors.ts'
import { sha256 } from '../log/sha256.ts'
import { isSignatureOf } from '../log/signer.ts'
import { verifySignedCheckpoint } from '../merkle/checkpoint.ts'
import { fromHex } from '../merkle/hash.ts'
import { verifyConsistency } from '../merkle/proofs.ts'
import { parseVkey } from '../merkle/vkey.ts'
import { readText } from './input-file.ts'

const noteBytesMax = 1_000_000

/** A tree head that was verified, and the checkpoints to compare with it. */
interface Asked {
  files: readonly string[]
  /** The key line that the checkpoints were signed with; by default the ledger's own. */
  key: string | undefined
  root: string
  size: number
}

/**
 * Checks that a ledger extends each checkpoint that was kept in another place. Only a key that was kept there, too, shows
 * who signed them. Returns the sizes of the checkpoints. Errors: VERIFY_FAILED (`checkpoint`, `key`), INVALID_INPUT,
 * NOT_FOUND, FILE_DENIED.
 */
export async function compareKept(
  api: Pick<Api, 'head' | 'log'>,
  { files, key, root, size }: Asked,
): Promise<number[]> {
  const trusted = await parseVkey(key ?? (await api.head.signed()).vkey, sha256)
  if (!trusted.ok) throw failed('key', trusted.reason, {})
  const sizes: number[] = []
  for (const file of files) {
    const kept = await verifySignedCheckpoint(readText(file, noteBytesMax), trusted.value, isSignatureOf)
    if (!kept.ok) throw failed('checkpoint', `${file}: ${kept.reason}`, { file })
    const { root: fromRoot, size: from } = kept.value
    const details = { file, kept_size: from, size }
    if (from > size) {
      const what = `${file} is a checkpoint of ${from} entries, but the ledger has ${size}: entries were removed`
      throw failed('checkpoint', what, details)
    }
    const proof = (await api.log.consistency({ from, to: size })).proof.map(bytesOf)
    if (!(await verifyConsistency({ from, fromRoot, proof, to: size, toRoot: bytesOf(root) }, sha256))) {
      const what = `${file}: the first ${from} entries are not those of the checkpoint: the history was changed`
      throw failed('checkpoint', what, details)
    }
    sizes.push(from)
  }
  return sizes
}

/** The bytes of a hash in hex. A text that is none matches nothing. */
const bytesOf = (hex: string) => fromHex(hex) ?? new Uint8Array()

function failed(check: 'checkpoint' | 'key', what: string, details: Record<string, number | string>): LockstepError {
  return new LockstepError('VERIFY_FAILED', what, {
    details: { check, ...details },
    hint: 'If the file and the key are those that were kept, this ledger is not the one that signed the checkpoint. Keep both as evidence.',
  })
}
