import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  formatCheckpoint,
  parseCheckpoint,
  signCheckpoint,
  verifySignedCheckpoint,
} from '../../src/merkle/checkpoint.ts'
import { signNote } from '../../src/merkle/note.ts'
import { keyIdOf } from '../../src/merkle/vkey.ts'
import { fixture, hexOf, sha256 } from './model.ts'

type Texts = {
  read: { text: string; origin: string; size: number; root: string; extended?: boolean }[]
  refused: { title: string; text: string; reason: string }[]
}

const test = suite('checkpoint')
const texts = fixture<Texts>('checkpoint/texts.json')
const root = sha256(Buffer.from('root'))

/** A log's key, and what signs and verifies with it, by Node. */
function logNamed(name: string) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const raw = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32))
  const key = { name, publicKey: raw, keyId: keyIdOf({ name, publicKey: raw }, sha256) }
  const signer = { name, keyId: key.keyId, sign: (bytes: Uint8Array) => sign(null, bytes, privateKey) }
  const verifier = (_: Uint8Array, message: Uint8Array, signature: Uint8Array) =>
    verify(null, message, publicKey, signature)
  return { key, signer, verifier }
}

for (const row of texts.read) {
  test(`a checkpoint is read: ${JSON.stringify(row.text)}`, () => {
    const parsed = parseCheckpoint(row.text)
    assert.ok(parsed.ok)
    assert.is(parsed.value.origin, row.origin)
    assert.is(parsed.value.size, row.size)
    assert.is(hexOf(parsed.value.root), row.root)
    if (row.extended !== true) assert.is(formatCheckpoint(parsed.value), row.text)
  })
}

for (const { title, text, reason } of texts.refused) {
  test(`a checkpoint is refused: ${title}`, () => {
    assert.equal(parseCheckpoint(text), { ok: false, reason })
  })
}

test('a checkpoint that could not be read again is not written', () => {
  const good = { origin: 'a', size: 7, root }
  assert.is(formatCheckpoint(good), `a\n7\n${Buffer.from(root).toString('base64')}\n`)
  const origins = ['', 'a\n', `a\n5\n${Buffer.from(root).toString('base64')}`, 'a\tb', '\ud800']
  for (const origin of origins) assert.throws(() => formatCheckpoint({ ...good, origin }), RangeError as never)
  for (const size of [-1, 0.5, 2 ** 53, 1e21, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => formatCheckpoint({ ...good, size }), /size of the checkpoint/)
  }
  assert.throws(() => formatCheckpoint({ ...good, root: root.subarray(1) }), /root of the checkpoint/)
})

test('a signed checkpoint verifies with the key of its log', async () => {
  const { key, signer, verifier } = logNamed('lockstep.local/ledger')
  const note = await signCheckpoint({ origin: 'lockstep.local/ledger', size: 7, root }, [signer])
  const verified = await verifySignedCheckpoint(note, key, verifier)
  assert.ok(verified.ok)
  assert.equal([verified.value.origin, verified.value.size], ['lockstep.local/ledger', 7])
  assert.is(hexOf(verified.value.root), hexOf(root))
  const other = logNamed('lockstep.local/ledger')
  assert.not((await verifySignedCheckpoint(note, other.key, other.verifier)).ok)
  assert.not((await verifySignedCheckpoint(note.replace('\n7\n', '\n8\n'), key, verifier)).ok)
})

test('a checkpoint of one log does not pass under the key of another, even if that key signed it', async () => {
  const { key, signer, verifier } = logNamed('witness')
  const note = await signNote(formatCheckpoint({ origin: 'log', size: 7, root }), [signer])
  assert.equal(await verifySignedCheckpoint(note, key, verifier), {
    ok: false,
    reason: 'the checkpoint belongs to log, not to witness',
  })
  const refused = await signCheckpoint({ origin: 'log', size: 7, root }, [signer]).catch((error: unknown) => error)
  assert.match(String(refused), /is not the checkpoint's origin/)
})

test('a signed note that is no checkpoint is refused', async () => {
  const { key, signer, verifier } = logNamed('log')
  const verified = await verifySignedCheckpoint(await signNote('log\n7\n', [signer]), key, verifier)
  assert.equal(verified, { ok: false, reason: 'the checkpoint has fewer than three lines' })
  assert.not((await verifySignedCheckpoint('log\n7\n', key, verifier)).ok)
})

test.run()
