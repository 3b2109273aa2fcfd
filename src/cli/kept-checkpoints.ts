import type { Api } from '../api/api.ts'
import { LockstepError } from '../errors.ts'
import { verifyCheckpoint, verifyConsistencyProof } from '../verify.ts'
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
  const vkey = key ?? (await api.head.signed()).vkey
  const sizes: number[] = []
  for (const file of files) {
    const kept = await verifyCheckpoint(readText(file, noteBytesMax), vkey)
    if (!kept.ok) throw failed(kept.check === 'key' ? 'key' : 'checkpoint', `${file}: ${kept.reason}`, { file })
    if (kept.size > size) {
      const what = `${file} is a checkpoint of ${kept.size} entries, but the ledger has ${size}: entries were removed`
      throw failed('checkpoint', what, { file, kept_size: kept.size, size })
    }
    const { proof } = await api.log.consistency({ from: kept.size, to: size })
    const grown = await verifyConsistencyProof({
      from: kept.size,
      from_root: kept.root,
      proof,
      to: size,
      to_root: root,
    })
    if (!grown.ok) {
      const what = `${file}: the first ${kept.size} entries are not those of the checkpoint: the history was changed`
      throw failed('checkpoint', what, { file, kept_size: kept.size, size })
    }
    sizes.push(kept.size)
  }
  return sizes
}

function failed(check: 'checkpoint' | 'key', what: string, details: Record<string, number | string>): LockstepError {
  return new LockstepError('VERIFY_FAILED', what, {
    details: { check, ...details },
    hint: 'If the file and the key are those that were kept, this ledger is not the one that signed the checkpoint. Keep both as evidence.',
  })
}
