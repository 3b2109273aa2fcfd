import { LockstepError } from '../../../errors.ts'
import { formatTooNew, formatVersion } from '../../../kernel/format.ts'
import { corrupt } from '../../corrupt.ts'
import type { Meta } from '../../log.ts'
import type { StoreBatch, StoreReader } from '../store.ts'
import { decode, encode } from './codec.ts'
import { metaKey } from './keys.ts'

/** Adds the meta row to a batch: a ledger's first one, or one that changes its name or its format. */
export function putMeta(batch: StoreBatch, meta: Meta): void {
  batch.puts.push({ key: metaKey, value: encode(metaKey, meta) })
}

/** Errors: LEDGER_CORRUPT if the row is missing or damaged; FORMAT_TOO_NEW, LEDGER_FORMAT for another format. */
export function readMeta(reader: Pick<StoreReader, 'get'>): Meta {
  const value = reader.get(metaKey)
  if (value === undefined) throw corrupt('the meta row is missing', { check: 'origin' })
  const meta = decode<Meta>(metaKey, value)
  const { format } = meta
  if (format > formatVersion) throw formatTooNew('the ledger', { found: format, read: formatVersion })
  if (!Number.isInteger(format) || format < 1) {
    throw new LockstepError(
      'LEDGER_FORMAT',
      `the ledger has format ${format}; this version reads 1 to ${formatVersion}`,
    )
  }
  return meta
}
