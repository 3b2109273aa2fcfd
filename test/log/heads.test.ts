import { generateKeyPairSync, sign } from 'node:crypto'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { Entry } from '../../src/kernel/entry.ts'
import { HeadKeeper } from '../../src/log/head-keeper.ts'
import { problemOfHead } from '../../src/log/head-keys.ts'
import { type HeadPlace, Heads } from '../../src/log/heads.ts'
import type { KeyedLog } from '../../src/log/keyed/log.ts'
import type { TreeHeadFile } from '../../src/log/log.ts'
import { sha256 } from '../../src/log/sha256.ts'
import { rootOf } from '../../src/log/tiles.ts'
import { toHex } from '../../src/merkle/hash.ts'
import { formatVkey, keyIdOf } from '../../src/merkle/vkey.ts'
import { refusalOf } from '../support/deliverable.ts'
import { logOf, recorded, sampleEntries, sampleMeta } from '../support/log-of.ts'
import { randomBelow } from '../support/seed.ts'

const heads = suite('signed heads')
const random = randomBelow('signed heads')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 40)
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const named = {
  name: sampleMeta.origin,
  publicKey: new Uint8Array(Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url')),
}
const vkey = formatVkey(named, sha256)
const size = 700
const entries = sampleEntries(size).map((entry) =>
  entry.seq === 0 ? { ...entry, data: { ...entry.data, vkey } } : entry,
)

/** The key of the ledger, which counts its signatures. It can wait before each. */
function signerOf(before: () => Promise<void> = async () => {}) {
  const counts = { signatures: 0 }
  const signers = async () =>
    [
      {
        keyId: keyIdOf(named, sha256),
        name: named.name,
        sign: async (bytes: Uint8Array) => {
          await before()
          counts.signatures += 1
          return new Uint8Array(sign(null, bytes, privateKey))
        },
        vkey,
      },
    ] as const
  return { counts, signers }
}

/** A place in memory, and every file that was written to it. */
function placeOf(first?: TreeHeadFile): HeadPlace & { written: TreeHeadFile[] } {
  const written: TreeHeadFile[] = []
  return {
    read: () => written.at(-1) ?? first,
    write: async (file) => void written.push(file),
    written,
  }
}

/** The same ledger, in which somebody changed one entry and computed everything behind it anew. */
function forged(at: number): Promise<{ log: KeyedLog }> {
  const changed = { ...entries[at], data: { ...entries[at]?.data, notes: 'something else' } } as Entry
  return logOf(entries.with(at, changed))
}

heads('are signed only if the tree continues the last signed head, whatever the sizes', async () => {
  const { log } = await logOf(entries)
  const signed = { refused: 0, signed: 0 }
  for (let round = 0; round < rounds; round += 1) {
    const [lastSize, changedAt, asked] = [1 + random(size), 1 + random(size - 1), 1 + random(size)]
    const last = await new Heads({ last: undefined, log, signers: signerOf().signers }).sign(lastSize)
    const { counts, signers } = signerOf()
    const place = placeOf()
    const other = new Heads({ last, log: (await forged(changedAt)).log, place, signers })
    const isSame = lastSize <= changedAt
    const code = await other.sign(asked).then(
      () => undefined,
      ({ code }) => code,
    )
    is(code, isSame ? undefined : 'LEDGER_CORRUPT', JSON.stringify({ asked, changedAt, lastSize }))
    if (isSame) signed.signed += 1
    else {
      signed.refused += 1
      equal([counts.signatures, place.written], [0, []])
      is((await refusalOf(() => other.keep())).code, 'LEDGER_CORRUPT')
    }
  }
  ok(signed.refused > 0 && signed.signed > 0, JSON.stringify(signed))
})

heads('are kept before they are given out, and a smaller size is signed without a write', async () => {
  const { log } = await logOf(entries.slice(0, 600))
  const place = placeOf()
  const { signers } = signerOf()
  const own = new Heads({ last: undefined, log, place, signers })
  const { note, ...head } = await own.sign(300)
  equal(head, { origin: sampleMeta.origin, root: toHex(await rootOf(log, 300)), size: 300 })
  equal(
    place.written.map((file) => file.size),
    [600],
  )
  is(await problemOfHead(log, { ...head, note }), undefined)
  await own.sign(600)
  is(place.written.length, 1)
  await log.append({ size: 600 }, entries.slice(600).map(recorded), [], {})
  is((await own.sign(650)).size, 650)
  equal(
    place.written.map((file) => file.size),
    [600, 700],
  )
})

heads('of callers who come at the same time cost one signature of the newest head', async () => {
  const { log } = await logOf(entries)
  const { counts, signers } = signerOf(() => new Promise(setImmediate))
  const place = placeOf()
  const own = new Heads({ last: undefined, log, place, signers })
  await Promise.all(Array.from({ length: 50 }, () => own.sign(size)))
  equal([counts.signatures, place.written.length], [1, 1])
})

heads('that another process signed for another history stop this process from signing', async () => {
  const { log } = await logOf(entries)
  const own = await new Heads({ last: undefined, log, signers: signerOf().signers }).sign(400)
  const { log: other } = await forged(450)
  const theirs = await new Heads({ last: own, log: other, signers: signerOf().signers }).sign(600)
  const { counts, signers } = signerOf()
  const place = placeOf(theirs)
  is((await refusalOf(() => new Heads({ last: own, log, place, signers }).sign(size))).code, 'LEDGER_CORRUPT')
  equal([counts.signatures, place.written], [0, []])
})

heads('are written again if the file was removed or replaced by something that this key did not sign', async () => {
  const { log } = await logOf(entries)
  const { signers } = signerOf()
  const last = await new Heads({ last: undefined, log, signers }).sign(size)
  for (const there of [undefined, { ...last, note: last.note.replace('\n700\n', '\n699\n') }]) {
    const place = placeOf(there)
    is(await new Heads({ last, log, place, signers }).keep(), true)
    equal(place.written, [last])
  }
})

heads('stay unsigned if the signer does not answer in time, and are signed by the next that does', async () => {
  const { log } = await logOf(entries.slice(0, 300))
  const last = await new Heads({ last: undefined, log, signers: signerOf().signers }).sign(300)
  await log.append({ size: 300 }, entries.slice(300).map(recorded), [], {})
  const place = placeOf(last)
  const hangs = signerOf(() => new Promise(() => {}))
  is(await new Heads({ last, log, place, signers: hangs.signers }).keep(20), false)
  const reached = { root: toHex(log.head().root), size }
  equal(place.written, [{ ...last, reached }])
  const broken = new Error('no token in the slot')
  const fails = signerOf(() => Promise.reject(broken))
  const thrown = await new Heads({ last, log, place, signers: fails.signers })
    .sign(size)
    .catch((error: unknown) => error)
  is(thrown, broken)
  is(await new Heads({ last, log, place, signers: signerOf().signers }).keep(), true)
  equal([place.read()?.size, place.read()?.reached], [size, undefined])
})

heads('cost an append nothing: they are kept once a second at most, and once at close', async () => {
  let kept = 0
  const counting = {
    keep: async () => {
      kept += 1
      return true
    },
  } as unknown as Heads
  const keeper = new HeadKeeper(counting, { isOurs: () => true })
  for (let append = 0; append < 10_000; append += 1) keeper.touch()
  is(kept, 0)
  await keeper.close()
  is(kept, 1)
  keeper.touch()
  await new Promise(setImmediate)
  is(kept, 1)
})

heads.run()
