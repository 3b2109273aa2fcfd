import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  formatSignedNote,
  type NoteSigner,
  parseSignedNote,
  signNote,
  type VerifySignature,
  verifySignedNote,
} from '../../src/merkle/note.ts'
import { parseVkey, type Vkey } from '../../src/merkle/vkey.ts'
import { bytesOf, fixture, sha256 } from './model.ts'

type Notes = {
  text: string
  keys: { name: string; key_id: string; vkey: string; seed?: string }[]
  notes: { note: string; signed_by: string[] }[]
  refused_notes: { title: string; note: string; reason: string }[]
}

const test = suite('note')
const { text, keys, notes, refused_notes } = fixture<Notes>('checkpoint/notes.json')
const [single, double] = [notes[0]?.note ?? '', notes[1]?.note ?? '']

async function keyNamed(name: string): Promise<Vkey> {
  const key = await parseVkey(keys.find((row) => row.name === name)?.vkey ?? '', sha256)
  if (!key.ok) throw new Error(key.reason)
  return key.value
}

/** Ed25519 by Node over the wrapping that its raw keys need. */
const verifyByNode: VerifySignature = (publicKey, message, signature) => {
  const der = Buffer.concat([bytesOf('302a300506032b6570032100'), publicKey])
  return verify(null, message, createPublicKey({ key: der, format: 'der', type: 'spki' }), signature)
}

/** The signer of the Go example, from its published seed. */
function peterNeumann(): NoteSigner {
  const seed = Buffer.from(keys[0]?.seed ?? '', 'base64').subarray(1)
  const der = Buffer.concat([bytesOf('302e020100300506032b657004220420'), seed])
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  return { name: 'PeterNeumann', keyId: bytesOf('c74f20a3'), sign: (bytes) => sign(null, bytes, privateKey) }
}

test("the example of Go's note package is signed byte for byte", async () => {
  assert.is(await signNote(text, [peterNeumann()]), single)
  const { sign, ...elsewhere } = peterNeumann()
  assert.is(await signNote(text, [{ ...elsewhere, sign: async (bytes) => sign(bytes) }]), single)
})

test("the examples of Go's note package verify with the keys that signed them, and no other", async () => {
  for (const { note, signed_by } of notes) {
    for (const { name } of keys) {
      const verified = await verifySignedNote(note, await keyNamed(name), verifyByNode)
      assert.is(verified.ok, signed_by.includes(name), name)
      if (verified.ok) assert.is(verified.value, text)
    }
  }
})

test('a note is written back as it was read', () => {
  for (const { note } of notes) {
    const parsed = parseSignedNote(note)
    assert.ok(parsed.ok)
    assert.is(formatSignedNote(parsed.value), note)
  }
})

for (const { title, note, reason } of refused_notes) {
  test(`a note is refused: ${title}`, () => {
    assert.equal(parseSignedNote(note), { ok: false, reason })
  })
}

test('a note verifies only as it was signed: every changed bit of text and signature is detected', async () => {
  const key = await keyNamed('PeterNeumann')
  const parsed = parseSignedNote(single)
  assert.ok(parsed.ok)
  const [own] = parsed.value.signatures
  assert.ok(own)
  for (let bit = 0; bit < 64 * 8; bit += 5) {
    const signature = Uint8Array.from(own.signature, (byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
    const note = formatSignedNote({ text, signatures: [{ ...own, signature }] })
    assert.equal(await verifySignedNote(note, key, verifyByNode), {
      ok: false,
      reason: 'the signature by PeterNeumann is wrong',
    })
  }
  for (const changed of [text.toUpperCase(), `${text}\n`, `\n${text}`, text.slice(1), 'x\n']) {
    const note = formatSignedNote({ text: changed, signatures: [own] })
    assert.not((await verifySignedNote(note, key, verifyByNode)).ok)
  }
})

test('a signature that is not 64 bytes is wrong, whatever the verifier would say', async () => {
  const key = await keyNamed('PeterNeumann')
  for (const length of [1, 63, 65]) {
    const signatures = [{ name: key.name, keyId: key.keyId, signature: new Uint8Array(length) }]
    const note = formatSignedNote({ text, signatures })
    assert.not((await verifySignedNote(note, key, () => true)).ok)
  }
})

test('a signature counts only under both the name and the id of the key', async () => {
  const key = await keyNamed('PeterNeumann')
  const parsed = parseSignedNote(single)
  assert.ok(parsed.ok)
  const [own] = parsed.value.signatures
  assert.ok(own)
  for (const other of [
    { ...own, name: 'PaulNeumann' },
    { ...own, keyId: bytesOf('c74f20a4') },
  ]) {
    const note = formatSignedNote({ text, signatures: [other] })
    const reason = 'the note has no signature by PeterNeumann'
    assert.equal(await verifySignedNote(note, key, () => true), { ok: false, reason })
    assert.ok((await verifySignedNote(formatSignedNote({ text, signatures: [other, own] }), key, verifyByNode)).ok)
  }
})

test('the first of several signatures by one key decides', async () => {
  const key = await keyNamed('PeterNeumann')
  const parsed = parseSignedNote(single)
  assert.ok(parsed.ok)
  const [own] = parsed.value.signatures
  assert.ok(own)
  const wrong = { ...own, signature: new Uint8Array(64) }
  const verified = (signatures: (typeof own)[]) =>
    verifySignedNote(formatSignedNote({ text, signatures }), key, verifyByNode)
  assert.ok((await verified([own, wrong])).ok)
  assert.not((await verified([wrong, own])).ok)
})

test('a note is read up to a hundred signatures and a million bytes', () => {
  const line = double.slice(double.indexOf('— Peter'), double.indexOf('— Enoch'))
  assert.ok(parseSignedNote(`${text}\n${line.repeat(100)}`).ok)
  assert.equal(parseSignedNote(`${text}\n${line.repeat(101)}`), {
    ok: false,
    reason: 'the note has too many signatures',
  })
  const lineBytes = Buffer.byteLength(line)
  const noteOf = (bytes: number, filler: string) =>
    `${filler.repeat((bytes - lineBytes - 2) / Buffer.byteLength(filler))}\n\n${line}`
  assert.is(Buffer.byteLength(noteOf(1_000_000, 'x')), 1_000_000)
  assert.ok(parseSignedNote(noteOf(1_000_000, 'x')).ok)
  assert.match(JSON.stringify(parseSignedNote(noteOf(1_000_001, 'x'))), /longer than 1000000 bytes/)
  assert.match(JSON.stringify(parseSignedNote(noteOf(1_000_100, 'é'))), /longer than 1000000 bytes/)
})

test('a note that could not be read again is not written', () => {
  const good = { name: 'a', keyId: bytesOf('00000000'), signature: new Uint8Array(64) }
  assert.throws(() => formatSignedNote({ text: 'no newline', signatures: [good] }), /newline|malformed|blank/)
  const inner = 'a\n\n— b AAAAAAAA'
  assert.throws(() => formatSignedNote({ text: inner, signatures: [good] }), /does not end in a newline/)
  assert.throws(() => formatSignedNote({ text: 'a\tb\n', signatures: [good] }), /not plain text/)
  assert.throws(() => formatSignedNote({ text, signatures: [] }), /does not end in a signature/)
  assert.throws(() => formatSignedNote({ text, signatures: [{ ...good, name: 'a b' }] }), /is not a valid key name/)
  assert.throws(
    () => formatSignedNote({ text, signatures: [{ ...good, name: 'a AAAAAAAA\n— b' }] }),
    /is not a valid key name/,
  )
  assert.throws(() => formatSignedNote({ text, signatures: [{ ...good, keyId: bytesOf('00') }] }), /must be 4 bytes/)
  assert.throws(() => formatSignedNote({ text, signatures: [{ ...good, signature: bytesOf('') }] }), /malformed/)
})

test.run()
