import { invariant } from '../../errors.ts'
import { assertCanonical } from '../../kernel/canonical.ts'
import type { Recorded } from '../log.ts'
import { decodeEntry, decodeStored } from './rows/codec.ts'

/** A debugging check: the stored bytes must read back as the hashed text and the entry, and that text must be RFC 8785. */
export function assertStoredAsHashed({ entry, text }: Recorded, key: Uint8Array, value: Uint8Array): void {
  const hashed: unknown = JSON.parse(text)
  for (const value of [entry, hashed]) assertCanonical(value)
  const isHashed = JSON.stringify(hashed) === text && decodeStored(key, value).text === text
  invariant(isHashed, `entry ${entry.seq} reads back as it was hashed`)
  const isSame = JSON.stringify(decodeEntry(key, value)) === JSON.stringify(entry)
  invariant(isSame, `entry ${entry.seq} reads back with its texts`)
}
