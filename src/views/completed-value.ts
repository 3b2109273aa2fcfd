import { rowFrom } from '../domain/aggregates.ts'
import type { Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import { corrupt } from '../log/corrupt.ts'
import type { Key } from '../log/log.ts'

/** The value as it is used. A row that needs an entry that is not loaded yet is incomplete; `missing` then names it. */
export function completedValue(
  key: Key,
  value: unknown,
  entryAt: (seq: number) => Entry | undefined,
  missing: readonly Key[],
): unknown {
  if (value === undefined) return undefined
  if (key.view === 'object') return JSON.parse(value as string)
  if (key.view !== 'row') return value
  const before = missing.length
  const row = rowFrom(key.key, value as Row, entryAt)
  if (row !== undefined || missing.length > before) return row
  throw corrupt(`the row of ${key.key} names an entry of another stream`, { check: 'rows', stream: key.key })
}
