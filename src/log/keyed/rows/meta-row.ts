import { LockstepError } from '../../../errors.ts'
import { corrupt } from '../../corrupt.ts'
import type { Meta } from '../../log.ts'
import type { StoreBatch, StoreReader } from '../store.ts'
import { decode, encode, formatVersion } from './codec.ts'
import { metaKey } from './keys.ts'

/** Adds the meta row to a ledger's first batch. */
export function putMeta(batch: StoreBatch, meta: Meta): void {
  batch.puts.push({ key: metaKey, value: encode(metaKey, meta) })
}

/** Errors: LEDGER_CORRUPT if the row is missing or damaged; LEDGER_FORMAT for a different format. */
export function readMeta(reader: StoreReader): Meta {
  const value = reader.get(metaKey)
  if (value === undefined) throw corrupt('the meta row is missing', { check: 'origin' })
  const meta = decode<Meta>(metaKey, value)
  if (meta.format !== formatVersion) {
    throw new LockstepError(
      'LEDGER_FORMAT',
      `the ledger has format ${meta.format}; this version reads ${formatVersion}`,
    )
  }
  return meta
}
