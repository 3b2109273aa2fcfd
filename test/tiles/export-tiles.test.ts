import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import type { Tiles } from '../../src/api/api.ts'
import { LockstepError } from '../../src/errors.ts'
import { exportTiles } from '../../src/files/tiles/export-tiles.ts'
import { openLedger } from '../../src/open.ts'
import { readable } from '../api/stage.ts'
import { failingCalls } from '../support/failing-calls.ts'
import { copyLedger, temporaryRoot, testActor, withLedger } from '../support/ledger.ts'
import { randomBelow } from '../support/seed.ts'
import { appendEvents, checkTiles, sameFiles, tilesIn } from '../support/tiles.ts'

const tiles = suite('exporting tiles')
/** A test whose errors uvu can show. */
function test(title: string, work: () => Promise<void>): void {
  tiles(title, readable(work))
}

/** Every call in the long run; by default some of them. */
const step = process.env.LOCKSTEP_ROUNDS === undefined ? 17 : 1
const random = randomBelow('exporting tiles')

async function refusal(work: Promise<unknown>): Promise<LockstepError> {
  try {
    await work
  } catch (error) {
    if (error instanceof LockstepError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

test('writes the whole log at any size, and what is new the next time', async () => {
  await withLedger(async (ledger) => {
    const [dir, bare] = [join(temporaryRoot(), 'a folder', 'tiles'), join(temporaryRoot(), 'bare')]
    let before: number | null = null
    const { size: first } = await ledger.head.get()
    for (const size of [first, 255, 256, 257, 511, 700, 700, 1_024, 3_000]) {
      await appendEvents(ledger, size - (await ledger.head.get()).size)
      const exported = await exportTiles(ledger.tiles, { dir, entries: true })
      equal([exported.size, exported.previous_size], [size, before])
      is(exported.root, (await ledger.head.get()).root)
      is(readFileSync(join(dir, 'checkpoint'), 'utf8'), (await ledger.head.signed()).checkpoint)
      is(await checkTiles(tilesIn(dir), { entries: true }), size)
      if (before === size) equal([exported.tiles, exported.bundles], [0, 0])
      await exportTiles(ledger.tiles, { dir: bare })
      is(await checkTiles(tilesIn(bare)), size)
      before = size
    }
    ok(!existsSync(join(bare, 'tile/entries')), 'entries are written only if that is asked for')
    equal(readdirSync(dir).sort(), ['checkpoint', 'tile'])
    ok(!existsSync(join(dir, 'tile/0/000.p')), 'partial tiles go when the full tile is there')
    const fresh = join(temporaryRoot(), 'fresh')
    const { bundles, tiles } = await exportTiles(ledger.tiles, { dir: fresh, entries: true })
    equal([bundles, tiles], [12, 13])
    is(await checkTiles(tilesIn(fresh), { entries: true }), 3_000)
  })
})

test('adds the entries to a folder that was exported without them', async () => {
  await withLedger(async (ledger) => {
    const dir = temporaryRoot()
    await appendEvents(ledger, 600)
    await exportTiles(ledger.tiles, { dir })
    const { bundles, tiles } = await exportTiles(ledger.tiles, { dir, entries: true })
    equal([bundles, tiles], [3, 0])
    is(await checkTiles(tilesIn(dir), { entries: true }), (await ledger.head.get()).size)
    // A gap that an export without entries leaves is filled.
    await appendEvents(ledger, 600)
    await exportTiles(ledger.tiles, { dir })
    await appendEvents(ledger, 600)
    is((await exportTiles(ledger.tiles, { dir, entries: true })).bundles, 6)
    is(await checkTiles(tilesIn(dir), { entries: true }), (await ledger.head.get()).size)
  })
})

test('that ends at any call of the file system leaves a readable folder, and the next export ends right', async () => {
  await withLedger(async (ledger) => {
    const calls = failingCalls()
    const kept = temporaryRoot()
    await appendEvents(ledger, 300)
    await exportTiles(ledger.tiles, { dir: kept, entries: true })
    const before = await checkTiles(tilesIn(kept), { entries: true })
    await appendEvents(ledger, 500)
    const wanted = join(temporaryRoot(), 'wanted')
    copyLedger(kept, wanted)
    await exportTiles(ledger.tiles, { dir: wanted, entries: true })
    const after = await checkTiles(tilesIn(wanted), { entries: true })
    let ends = 0
    for (let from = 1 + random(step); ; from += step) {
      const dir = join(temporaryRoot(), 'tiles')
      copyLedger(kept, dir)
      // As if the process was killed: no later call has an effect, not even one that cleans up.
      const fault = { code: 'EIO', from, to: Number.POSITIVE_INFINITY, isArmed: true }
      await calls.during(fault, () => exportTiles(ledger.tiles, { dir, entries: true })).catch(() => {})
      if (calls.failed.length === 0) break
      ends += 1
      const size = await checkTiles(tilesIn(dir), { entries: true })
      ok(size === before || size === after, `size ${size} after ${from} calls`)
      // This process is not dead, so its folder would be respected.
      for (const name of readdirSync(dir)) if (name.startsWith('.')) rmSync(join(dir, name), { recursive: true })
      await exportTiles(ledger.tiles, { dir, entries: true })
      sameFiles(dir, wanted)
    }
    ok(ends * step > 100, `${ends} ends`)
  })
})

test('in any order with appends and crashes leaves a folder that is readable all the time', async () => {
  const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 2)
  await withLedger(async (ledger) => {
    const calls = failingCalls()
    for (let round = 0; round < Math.min(rounds, 30); round += 1) {
      const dir = join(temporaryRoot(), 'tiles')
      let published = 0
      for (let done = 0; done < 12; done += 1) {
        await appendEvents(ledger, [0, 1, random(300), 256][random(4)] ?? 0)
        const entries = random(2) === 0
        const isCrash = random(3) === 0
        const fault = { code: 'EIO', from: 1 + random(150), to: Number.POSITIVE_INFINITY, isArmed: isCrash }
        await calls
          .during(fault, () => exportTiles(ledger.tiles, { dir, entries }))
          .catch((error) => {
            if (!isCrash) throw error
          })
        for (const name of existsSync(dir) ? readdirSync(dir) : []) {
          if (name.startsWith('.')) rmSync(join(dir, name), { recursive: true })
        }
        if (!existsSync(join(dir, 'checkpoint'))) continue
        const isWhole = entries && (!isCrash || calls.failed.length === 0)
        const size = await checkTiles(tilesIn(dir), { entries: isWhole })
        ok(size >= published, `${size} after ${published}`)
        published = size
      }
    }
  })
})

test('refuses a checkpoint that the ledger does not extend, and leaves everything as it was', async () => {
  const dir = temporaryRoot()
  await withLedger(async (ledger, root) => {
    await appendEvents(ledger, 300)
    await ledger.close()
    const copy = temporaryRoot()
    copyLedger(root, copy)
    const fork = await openLedger({ dir: copy, actor: testActor })
    const other = await openLedger({ dir: root, actor: testActor })
    try {
      await appendEvents(fork, 300)
      await exportTiles(fork.tiles, { dir })
      const shorter = await refusal(exportTiles(other.tiles, { dir }))
      is(shorter.code, 'VERIFY_FAILED')
      match(shorter.message, /does not extend the checkpoint of size \d+/)
      for (const more of [300, 300]) {
        await appendEvents(other, more)
        const forked = await refusal(exportTiles(other.tiles, { dir }))
        is(forked.code, 'VERIFY_FAILED')
        match(forked.message, /does not extend/)
      }
      is(readFileSync(join(dir, 'checkpoint'), 'utf8'), (await fork.head.signed()).checkpoint)
      is(await checkTiles(tilesIn(dir)), (await fork.head.get()).size)
    } finally {
      await fork.close()
      await other.close()
    }
  })
  await withLedger(async (ledger) => {
    const { code, message } = await refusal(exportTiles(ledger.tiles, { dir }))
    is(code, 'INVALID_INPUT')
    match(message, /has the tiles of lockstep\.local\//)
  })
})

test('refuses a folder whose tiles are not those of its checkpoint, and a checkpoint that is none', async () => {
  await withLedger(async (ledger) => {
    const dir = temporaryRoot()
    await appendEvents(ledger, 300)
    await exportTiles(ledger.tiles, { dir })
    const { size } = await ledger.head.get()
    const path = join(dir, `tile/0/001.p/${size - 256}`)
    const whole = readFileSync(path)
    for (const damaged of [Buffer.alloc(whole.length), whole.subarray(32)]) {
      writeFileSync(path, damaged)
      const { code, message } = await refusal(exportTiles(ledger.tiles, { dir }))
      is(code, 'VERIFY_FAILED')
      match(message, /do not have the root of the checkpoint beside them/)
    }
    writeFileSync(path, whole)
    writeFileSync(join(dir, 'checkpoint'), 'not a checkpoint\n')
    is((await refusal(exportTiles(ledger.tiles, { dir }))).code, 'INVALID_INPUT')
  })
})

test('publishes nothing if a tile or an entry is not what the checkpoint says', async () => {
  await withLedger(async (ledger) => {
    await appendEvents(ledger, 300)
    const flipped = async (wrong: string | number): Promise<Tiles> => ({
      checkpoint: () => ledger.tiles.checkpoint(),
      tile: async (name) => {
        const bytes = Uint8Array.from(await ledger.tiles.tile(name))
        if (name.level === wrong && name.index === 1) bytes[5] = (bytes[5] ?? 0) ^ 1
        return bytes
      },
    })
    for (const [wrong, text] of [
      [0, /do not give the root|does not have the leaf hash/],
      ['entries', /entry 256 does not have the leaf hash/],
    ] as const) {
      for (const entries of wrong === 0 ? [false, true] : [true]) {
        const dir = temporaryRoot()
        const { code, message } = await refusal(exportTiles(await flipped(wrong), { dir, entries }))
        is(code, 'VERIFY_FAILED')
        match(message, text)
        ok(!existsSync(join(dir, 'checkpoint')))
      }
    }
  })
})

test('keeps a second export away while the first one writes', async () => {
  await withLedger(async (ledger) => {
    const dir = temporaryRoot()
    await appendEvents(ledger, 300)
    let second: LockstepError | undefined
    await exportTiles(
      {
        checkpoint: async () => {
          second = await refusal(exportTiles(ledger.tiles, { dir }))
          return ledger.tiles.checkpoint()
        },
        tile: (name) => ledger.tiles.tile(name),
      },
      { dir },
    )
    is(second?.code, 'LEDGER_UNAVAILABLE')
    is(await checkTiles(tilesIn(dir)), (await ledger.head.get()).size)
    mkdirSync(join(dir, '.lockstep-tiles-999999999-x-y-z'))
    ok((await refusal(exportTiles(ledger.tiles, { dir }))).message.includes('another process'), 'unknown is not dead')
  })
})

tiles.run()
