import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { openStore } from '../../src/log/level/store.ts'
import { problemOfTable } from '../../src/log/level/table.ts'
import { crc32c } from '../../src/log/level/wal/crc32c.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { refusalOf } from '../support/opening.ts'
import { randomBelow } from '../support/seed.ts'

const tables = suite('a table')
const below = randomBelow('tables')
const footerBytes = 48

tables('has checksums as RFC 3720 gives them', () => {
  const rows = [Buffer.alloc(32), Buffer.alloc(32, 255), Buffer.from([...Array(32).keys()]), Buffer.from('123456789')]
  equal(
    rows.map((bytes) => crc32c(bytes)),
    [0x8a9136aa, 0x62a8ab43, 0x46dd794e, 0xe3069283],
  )
  is(crc32c(Buffer.alloc(0)), 0)
})

tables('that LevelDB wrote is whole, compressed or not, small or large', async () => {
  const { written } = await database()
  ok(written.length >= 4, `${written.length} tables`)
  for (const table of written) is(problemOfTable(table), undefined)
})

tables('detects every flipped bit, except in the zeros that pad its footer', async () => {
  const { written } = await database()
  const unseen: number[] = []
  for (const table of written) {
    const isShort = table.length < 5_000
    for (let round = 0; round < (isShort ? table.length * 8 : 2_000); round += 1) {
      // Of a long one the end is looked at more closely, for its indexes stand there.
      const near = round % 2 === 0 ? table.length : Math.min(table.length, 2_000)
      const bit = isShort ? round : (table.length - 1 - below(near)) * 8 + below(8)
      flip(table, bit)
      if (problemOfTable(table) === undefined) unseen.push(table.length - Math.floor(bit / 8))
      flip(table, bit)
    }
  }
  const ofFilling = (fromEnd: number) => fromEnd > 8 && fromEnd <= footerBytes - 4
  equal(
    unseen.filter((fromEnd) => !ofFilling(fromEnd)),
    [],
  )
})

tables('that is cut, or is something else, is not a table', () => {
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(7), Buffer.alloc(100), randomBytes(1_000)])
    match(problemOfTable(bytes) ?? '', /its footer/)
  const alone = Buffer.from('57fb808b247547db', 'hex')
  for (const before of [0, 10, 40, 200])
    ok(problemOfTable(Buffer.concat([Buffer.alloc(before, 255), alone])) !== undefined, `${before} bytes`)
})

tables('that is damaged while the database is open is found only by reading the files', async () => {
  const { folder, keys } = await database()
  // LevelDB would otherwise merge tables in the background and could delete the damaged one before it is looked at.
  await mergeAll(folder)
  const store = await openStore(folder, { create: false })
  await store.checkFiles()
  for (const key of keys) ok(store.get(key) !== undefined)
  const [name = ''] = tablesIn(folder)
  const table = readFileSync(join(folder, name))
  flip(table, 8 * 20)
  writeFileSync(join(folder, name), table)
  const { code, details, message } = await refusalOf(store.checkFiles())
  equal([code, details], ['LEDGER_CORRUPT', { check: 'tables', file: name }])
  match(message, /the table \d+\.ldb is damaged: the checksum of its block at 0 does not match/)
  await store.close()
})

tables.run()

/** A database, and tables of one block and of many that it had: what compresses well, what does not, and large values. */
async function database(): Promise<{ folder: string; keys: Buffer[]; written: Buffer[] }> {
  const folder = join(temporaryRoot(), 'database')
  const keys: Buffer[] = []
  const written = new Map<string, Buffer>()
  const session = async (count: number, value: (at: number) => Buffer) => {
    const level = new Level<Uint8Array, Uint8Array>(folder, { keyEncoding: 'view', valueEncoding: 'view' })
    await level.open()
    for (let at = 0; at < count; at += 1) {
      keys.push(Buffer.from(`${keys.length}`))
      await level.put(keys.at(-1) as Buffer, value(at))
    }
    // What is in the log becomes a table at the next open, and those are merged; one that is under way is none yet.
    const inUse = (level as unknown as { getProperty(name: string): string }).getProperty('leveldb.sstables')
    for (const name of tablesIn(folder)) {
      if (inUse.includes(`\n ${Number.parseInt(name, 10)}:`)) keep(written, folder, name)
    }
    await level.close()
  }
  await session(20, () => Buffer.from('x'))
  await session(2_000, (at) => Buffer.from(`{"seq":${at},"type":"lock.acquired"}`))
  await session(200, (at) => randomBytes(at * 5))
  await session(3, () => randomBytes(50_000))
  await session(0, () => Buffer.alloc(0))
  return { folder, keys, written: [...written.values()] }
}

/** Keeps the bytes of a table, unless LevelDB merged and deleted it in this moment. */
function keep(kept: Map<string, Buffer>, folder: string, name: string): void {
  try {
    kept.set(name, readFileSync(join(folder, name)))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/** Merges all tables until LevelDB has nothing left to merge by itself. */
async function mergeAll(folder: string): Promise<void> {
  const level = new Level<Uint8Array, Uint8Array>(folder, { keyEncoding: 'view', valueEncoding: 'view' })
  await level.open()
  await (level as unknown as { compactRange(from: Uint8Array, to: Uint8Array): Promise<void> }).compactRange(
    Buffer.alloc(1),
    Buffer.alloc(1, 255),
  )
  await level.close()
}

function tablesIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith('.ldb'))
}

function flip(bytes: Buffer, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
}
