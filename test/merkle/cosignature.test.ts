import { spawnSync } from 'node:child_process'
import { verify as verifyEd25519 } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { formatCheckpoint } from '../../src/merkle/checkpoint.ts'
import { cosign, verifyCosignatures } from '../../src/merkle/cosignature.ts'
import { formatSignedNote } from '../../src/merkle/note.ts'
import { keyTypes, parseVkey } from '../../src/merkle/vkey.ts'
import { root as rootFolder } from '../runner.ts'
import { foreign } from '../support/foreign.ts'
import { newKey, type TestKey, verifyByNode } from '../support/witness-keys.ts'
import { leafAt, sha256, sha256Later } from './model.ts'

const test = suite('cosignature')
const [log, first, second] = [newKey('example.com/log'), newKey('witness.example/w1'), newKey('witness.example/w2')]
const text = formatCheckpoint({ origin: log.vkey.split('+')[0] ?? '', size: 7, root: leafAt(1) })
const [timestamp, later] = [1_679_315_147, 4_000_000_000]

async function signedBy(...lines: string[]): Promise<string> {
  const signature = await log.note.sign(new TextEncoder().encode(text))
  return formatSignedNote({ text, signatures: [{ ...log.note, signature }] }) + lines.join('')
}

async function keyOf({ witnessVkey }: TestKey) {
  const key = await parseVkey(witnessVkey, sha256Later, keyTypes.cosignature)
  if (!key.ok) throw new Error(key.reason)
  return key.value
}

test('a cosignature states its time, and verifies with the key of its witness alone', async () => {
  const note = await signedBy(await cosign(text, timestamp, first.cosigner), await cosign(text, later, second.cosigner))
  const [key, other] = [await keyOf(first), await keyOf(second)]
  const both = await verifyCosignatures(note, [key, other], verifyByNode)
  assert.equal(both, {
    ok: true,
    value: [
      { key, timestamp },
      { key: other, timestamp: later },
    ],
  })
  assert.equal(await verifyCosignatures(note, [await keyOf(newKey('witness.example/w1'))], verifyByNode), {
    ok: true,
    value: [],
  })
})

test('the signature is over the header line, the time line and the whole text', async () => {
  const line = await cosign(text, timestamp, first.cosigner)
  const bytes = Buffer.from(line.split(' ')[2] ?? '', 'base64')
  assert.is(bytes.length, 4 + 8 + 64)
  assert.is(bytes.readBigUInt64BE(4), BigInt(timestamp))
  const message = Buffer.from(`cosignature/v1\ntime ${timestamp}\n${text}`)
  assert.ok(verifyEd25519(null, message, first.privateKey, bytes.subarray(12)))
})

test('a note with a wrong cosignature by a known key is rejected', async () => {
  const line = await cosign(text, timestamp, first.cosigner)
  const bytes = Buffer.from(line.trim().split(' ')[2] ?? '', 'base64')
  for (const at of [4, 11, 12, bytes.length - 1]) {
    const changed = Buffer.from(bytes)
    changed[at] = (changed[at] ?? 0) ^ 1
    const note = await signedBy(`— ${first.cosigner.name} ${changed.toString('base64')}\n`)
    const verified = await verifyCosignatures(note, [await keyOf(first)], verifyByNode)
    assert.equal(verified, { ok: false, reason: 'the cosignature by witness.example/w1 is wrong' }, `byte ${at}`)
  }
})

test('signatures of unknown types and by unknown keys are skipped', async () => {
  const mlDsa = `— witness.example/w1 ${Buffer.alloc(4 + 8 + 2420, 7).toString('base64')}\n`
  const stranger = await cosign(text, later, newKey('stranger.example').cosigner)
  const note = await signedBy(mlDsa, stranger, await cosign(text, timestamp, first.cosigner))
  const key = await keyOf(first)
  assert.equal(await verifyCosignatures(note, [key], verifyByNode), { ok: true, value: [{ key, timestamp }] })
})

test('a key line of one type is not read as the other', async () => {
  assert.equal(await parseVkey(first.witnessVkey, sha256), { ok: false, reason: 'the key is not an Ed25519 key' })
  assert.equal(await parseVkey(first.vkey, sha256, keyTypes.cosignature), {
    ok: false,
    reason: 'the key is not an Ed25519 key for cosignatures',
  })
})

test('a timestamp that is not a number of seconds is refused', async () => {
  for (const wrong of [-1, 1.5, Number.NaN, 2 ** 53]) {
    try {
      await cosign(text, wrong, first.cosigner)
      assert.unreachable(String(wrong))
    } catch (error) {
      assert.instance(error, RangeError)
    }
  }
})

test("Go's note package and Go's Ed25519 verify a cosigned checkpoint", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-go-'))
  try {
    const verifier = foreign(join(rootFolder, 'test/foreign/cosignature.go'), folder)
    if (verifier === undefined) return
    const file = join(folder, 'note')
    const line = await cosign(text, timestamp, first.cosigner)
    const keys = [log.vkey, first.witnessVkey, second.witnessVkey]
    writeFileSync(file, await signedBy(line, await cosign(text, later, second.cosigner)))
    const verified = spawnSync(verifier, [file, ...keys], { encoding: 'utf8', timeout: 20_000 })
    const printed = ['example.com/log', `witness.example/w1 ${timestamp}`, `witness.example/w2 ${later}`]
    assert.is(verified.stdout, `${printed.join('\n')}\n`, verified.stderr)
    const wrong = line.replace(/[A-Za-z0-9+/]{8}(==?\n)$/, 'AAAAAAAA$1')
    writeFileSync(file, await signedBy(wrong))
    assert.is(spawnSync(verifier, [file, ...keys], { timeout: 20_000 }).status, 1)
  } finally {
    rmSync(folder, { force: true, recursive: true })
  }
})

test.run()
