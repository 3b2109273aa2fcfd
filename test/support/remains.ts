import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { layoutOf } from '../../src/disk/layout.ts'
import { ranges } from '../../src/log/keyed/rows/keys.ts'
import { openStore } from '../../src/log/level/store.ts'
import { valuesIn } from '../../src/log/level/table.ts'

/**
 * The files below a root that have a text: as bytes, or in a compressed block of a table. Also the keys under which
 * LevelDB itself finds it. The ledger must be closed.
 */
export async function remainsOf(root: string, text: string): Promise<string[]> {
  const found = new Set<string>()
  const names = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  for (const { name, parentPath } of names) {
    const path = join(parentPath, name)
    const bytes = readFileSync(path)
    if (bytes.includes(text)) found.add(path)
    if (!name.endsWith('.ldb')) continue
    const table = { at: (from: number, to: number) => bytes.subarray(from, to), length: bytes.length }
    for (const [, value] of valuesIn(table, () => true)) if (value.includes(text)) found.add(path)
  }
  const { ledger } = layoutOf(root)
  if (!existsSync(ledger)) return [...found]
  const store = await openStore(ledger, { create: false })
  try {
    for await (const page of store.scan(ranges.all)) {
      for (const [key, value] of page)
        if (Buffer.from(value).includes(text)) found.add(Buffer.from(key).toString('hex'))
    }
  } finally {
    await store.close()
  }
  return [...found]
}
