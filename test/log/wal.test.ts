// limit: 240
import { randomBytes } from 'node:crypto'
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import { readLogBlocks } from '../../src/log/level/wal/log-blocks.ts'
import { readWal, type Wal } from '../../src/log/level/wal/wal.ts'
import { crashedLedger } from '../support/crashed.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { randomBelow } from '../support/seed.ts'

const wal = suite('the write-ahead log, read before LevelDB does')
const random = randomBelow('write-ahead log')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 0)
const crashed = await crashedLedger(20)
const { bytes, layout, log, size } = crashed
const boots = [true, false]
const sectorBytes = 512

/** The database with other bytes for a log of it, or none. */
function withLog(content: Buffer | undefined, more: Record<string, Buffer> = {}): string {
  const folder = temporaryRoot()
  for (const name of readdirSync(layout.ledger)) {
    if (!/^(?:LOCK|LOG|LOG\.old)$/.test(name) && name !== log)
      copyFileSync(join(layout.ledger, name), join(folder, name))
  }
  for (const [name, other] of Object.entries({ ...(content && { [log]: content }), ...more }))
    writeFileSync(join(folder, name), other)
  return folder
}

function read(folder: string, isSameBoot: boolean): Wal | LockstepError {
  try {
    return readWal(folder, { isSameBoot })
  } catch (error) {
    if (error instanceof LockstepError) return error
    throw error
  }
}

const sizeIn = (read: Wal | LockstepError) => (read instanceof LockstepError ? read.code : read.head?.size)

/** Where each record of the log begins and ends. */
const records = readLogBlocks(bytes).records.map(({ at }, index, all) => ({
  at,
  end: all[index + 1]?.at ?? bytes.length,
}))

wal('gives the last head row that was acknowledged, and which log it is in', () => {
  for (const isSameBoot of boots) {
    const found = readWal(layout.ledger, { isSameBoot })
    is(found.head?.size, size)
    equal(found.logs, [log])
    ok(bytes.length > 32_768, 'the log has more than one block')
  }
})

wal('is whole or one record shorter, wherever a crash cuts it', () => {
  const folder = withLog(bytes)
  let sizes = new Set<unknown>()
  for (let end = bytes.length; end >= 0; end -= rounds > 0 ? 1 : 1 + random(600)) {
    truncateSync(join(folder, log), end)
    for (const isSameBoot of boots) sizes = sizes.add(sizeIn(read(folder, isSameBoot)))
  }
  ok(!sizes.has('LEDGER_CORRUPT'))
})

wal('is refused with any bit flipped, except in the bytes that pad a block', () => {
  const folder = withLog(bytes)
  const places = rounds > 0 ? bytes.keys() : Array.from({ length: 150 }, () => random(bytes.length))
  for (const at of [...places, bytes.length - 1, bytes.length - 300, 0, 4, 5, 6]) {
    const flipped = Buffer.from(bytes)
    flipped[at] = (flipped[at] as number) ^ (1 << random(8))
    writeFileSync(join(folder, log), flipped)
    for (const isSameBoot of boots) {
      const found = read(folder, isSameBoot)
      if (!(found instanceof LockstepError)) {
        is(found.head?.size, size, `byte ${at}`)
        ok(at % 32_768 > 32_768 - 7, `byte ${at} is taken for whole`)
      } else {
        is(found.code, 'LEDGER_CORRUPT')
        equal([found.details.check, found.details.file], ['bytes', log])
      }
    }
  }
})

wal('names the first entry that may be lost', () => {
  const flipped = Buffer.from(bytes)
  for (const { at, seq } of [
    { at: 100, seq: 1 },
    { at: bytes.length - 10, seq: size - 1 },
  ]) {
    bytes.copy(flipped)
    flipped[at] = (flipped[at] as number) ^ 0xff
    const found = read(withLog(flipped), true)
    is((found as LockstepError).details.seq, seq)
    match((found as LockstepError).message, `entries from ${seq} on may be lost`)
  }
})

wal('may end in a sector of zeros after a power failure, but not after a kill', () => {
  const { at, end } = records.at(-1) ?? { at: 0, end: 0 }
  ok(end - at > sectorBytes, 'the last record is longer than a sector')
  const boundary = at - (at % sectorBytes) + sectorBytes
  for (const [from, to] of [
    [at, boundary],
    [boundary, Math.min(end, boundary + sectorBytes)],
    [at, end],
  ] as const) {
    const torn = Buffer.from(bytes).fill(0, from, to)
    equal(
      boots.map((isSameBoot) => sizeIn(read(withLog(torn), isSameBoot))),
      ['LEDGER_CORRUPT', size - 1],
      `zeros from ${from} to ${to}`,
    )
  }
})

wal('may end in a block of any bytes after a power failure, but not with one changed byte', () => {
  const { at, end } = records.at(-1) ?? { at: 0, end: 0 }
  for (const from of [at, at + 7, Math.min(end - 8, at + sectorBytes)]) {
    const torn = Buffer.from(bytes)
    randomBytes(end - from).copy(torn, from)
    equal(
      boots.map((isSameBoot) => sizeIn(read(withLog(torn), isSameBoot))),
      ['LEDGER_CORRUPT', size - 1],
      `anything from ${from} to ${end}`,
    )
  }
  const folder = withLog(bytes)
  for (const place of [0, 1, 2, 3, 4, 5, 6, 7, end - at - 1, ...Array.from({ length: 40 }, () => random(end - at))]) {
    const changed = Buffer.from(bytes)
    changed[at + place] = (changed[at + place] as number) ^ (1 + random(255))
    writeFileSync(join(folder, log), changed)
    for (const isSameBoot of boots)
      is(sizeIn(read(folder, isSameBoot)), 'LEDGER_CORRUPT', `byte ${place} of the last record`)
  }
})

wal('is refused where whole records lie behind a sector of zeros, in its block or in later ones', () => {
  for (const { at } of records.slice(1, -1)) {
    const zeroed = Buffer.from(bytes).fill(0, at - (at % sectorBytes), at - (at % sectorBytes) + sectorBytes)
    for (const isSameBoot of boots) is(sizeIn(read(withLog(zeroed), isSameBoot)), 'LEDGER_CORRUPT', `at ${at}`)
  }
})

wal('may be followed by zeros after a power failure, but not after a kill', () => {
  for (const zeros of [7, 512, 40_000]) {
    const longer = Buffer.concat([bytes, Buffer.alloc(zeros)])
    equal(
      boots.map((isSameBoot) => sizeIn(read(withLog(longer), isSameBoot))),
      ['LEDGER_CORRUPT', size],
    )
  }
})

wal('may be torn if the next log is empty, as recovery leaves it, but not if that has records', () => {
  const torn = bytes.subarray(0, bytes.length - 5)
  const next = `${String(Number(log.slice(0, -4)) + 5).padStart(6, '0')}.log`
  for (const isSameBoot of boots) {
    is(sizeIn(read(withLog(torn, { [next]: Buffer.alloc(0) }), isSameBoot)), size - 1)
    is(sizeIn(read(withLog(torn, { [next]: bytes }), isSameBoot)), 'LEDGER_CORRUPT')
    is(sizeIn(read(withLog(bytes, { [next]: Buffer.alloc(0) }), isSameBoot)), size)
  }
})

wal('is refused if the MANIFEST names it and it is missing; an older log is not read', () => {
  for (const isSameBoot of boots) {
    const found = read(withLog(undefined), isSameBoot)
    match((found as LockstepError).message, 'is missing')
    equal(readWal(withLog(bytes, { '000001.log': Buffer.from('old') }), { isSameBoot }).logs, [log])
  }
})

wal('is not a folder, and not too long', () => {
  const folder = withLog(bytes)
  rmSync(join(folder, log))
  mkdirSync(join(folder, log))
  is(sizeIn(read(folder, true)), 'LEDGER_CORRUPT')
  const long = withLog(bytes)
  truncateSync(join(long, log), 5 * 1024 ** 3)
  match((read(long, true) as LockstepError).message, 'more than LevelDB ever writes')
})

wal('is found through CURRENT and MANIFEST, and any flipped bit in those is refused', () => {
  for (const name of readdirSync(layout.ledger).filter((name) => /^(?:CURRENT|MANIFEST-\d+)$/.test(name))) {
    const folder = withLog(bytes)
    const beside = join(folder, `${name}.whole`)
    renameSync(join(folder, name), beside)
    const { length } = copyTo(beside, join(folder, name))
    for (let at = 0; at < length; at += 1) {
      for (const isSameBoot of boots) {
        const flipped = copyTo(beside, join(folder, name))
        flipped[at] = (flipped[at] as number) ^ (1 << random(8))
        writeFileSync(join(folder, name), flipped)
        is(sizeIn(read(folder, isSameBoot)), 'LEDGER_CORRUPT', `byte ${at} of ${name}`)
      }
    }
  }
})

wal.run()

function copyTo(from: string, to: string): Buffer {
  copyFileSync(from, to)
  return readFileSync(to)
}
