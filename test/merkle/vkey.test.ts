import { generateKeyPairSync } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { formatVkey, isKeyName, keyIdOf, parseVkey } from '../../src/merkle/vkey.ts'
import { fixture, hexOf, sha256, sha256Later } from './model.ts'

type Notes = {
  keys: { name: string; key_id: string; vkey: string }[]
  refused_vkeys: { title: string; vkey: string; reason: string }[]
}

const test = suite('vkey')
const { keys, refused_vkeys } = fixture<Notes>('checkpoint/notes.json')

test("verifier keys of Go's note package are read, and written again byte for byte", async () => {
  for (const { name, key_id, vkey } of keys) {
    const key = await parseVkey(vkey, sha256Later)
    assert.ok(key.ok, name)
    assert.is(key.value.name, name)
    assert.is(hexOf(key.value.keyId), key_id)
    assert.is(hexOf(keyIdOf(key.value, sha256)), key_id)
    assert.is(formatVkey(key.value, sha256), vkey)
  }
})

test('new keys are written so that they are read again', async () => {
  for (let round = 0; round < 20; round++) {
    const { publicKey } = generateKeyPairSync('ed25519')
    const raw = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32))
    const vkey = formatVkey({ name: 'lockstep.local/é', publicKey: raw }, sha256)
    const key = await parseVkey(vkey, sha256)
    assert.ok(key.ok)
    assert.equal(key.value.publicKey, raw)
    assert.is(key.value.name, 'lockstep.local/é')
  }
})

for (const { title, vkey, reason } of refused_vkeys) {
  test(`a verifier key is refused: ${title}`, async () => {
    assert.equal(await parseVkey(vkey, sha256Later), { ok: false, reason })
  })
}

test('a key that could not be read again is not written', () => {
  const publicKey = new Uint8Array(32)
  for (const name of ['', 'a b', 'a+b', 'a\nb', 'a\u3000b', '\ud800']) {
    assert.throws(() => formatVkey({ name, publicKey }, sha256), /is not a valid key name/)
  }
  assert.throws(() => formatVkey({ name: 'a', publicKey: new Uint8Array(31) }, sha256), /must be 32 bytes/)
  assert.throws(() => formatVkey({ name: 'a'.repeat(1_000), publicKey }, sha256), /too long/)
})

test('a name has no space of any kind, plus, control character or lone surrogate', () => {
  for (const name of ['a', 'example.com/log42', 'lockstep.local/01ABC', 'é', '𝒩', '-']) assert.ok(isKeyName(name), name)
  const spaces = [
    '\t',
    '\n',
    '\v',
    '\f',
    '\r',
    ' ',
    '\u0085',
    '\u00a0',
    '\u1680',
    '\u2000',
    '\u200a',
    '\u2028',
    '\u2029',
    '\u202f',
    '\u205f',
    '\u3000',
  ]
  for (const bad of [...spaces, '+', '\0', '\u001f', '\ud800', '\udc00']) {
    assert.not(isKeyName(`a${bad}b`), JSON.stringify(bad))
  }
  assert.not(isKeyName(''))
})

test.run()
