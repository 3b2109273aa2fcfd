import { spawnSync } from 'node:child_process'
import { createPublicKey, type KeyObject } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundleFromJSON } from '@sigstore/bundle'
import { toSignedEntity, Verifier } from '@sigstore/verify'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { root as project } from '../runner.ts'
import { spread, unpack } from '../support/bundle.ts'
import { bundlesIn } from '../support/exports.ts'
import { foreign } from '../support/foreign.ts'
import { consistencyCase, inclusionCase, noteCase, Verdicts } from './verdicts.ts'

const suiteOf = suite('a bundle and the proofs of a ledger, by tools that are not Lockstep’s')
const bundle = bundlesIn(suiteOf)
const scratch = mkdtempSync(join(tmpdir(), 'lockstep-go-'))
process.once('exit', () => rmSync(scratch, { force: true, recursive: true }))
const program = foreign(join(project, 'test/foreign/verdicts.go'), scratch)

/** The public key of a key line: its last 32 bytes. */
function keyOf(vkey: string): KeyObject {
  const x = Buffer.from(vkey.trim().split('+').slice(2).join('+'), 'base64').subarray(1).toString('base64url')
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
}

/** Whether openssl finds a signature right; undefined without openssl. */
function opensslVerifies(vkey: string, message: Uint8Array, signature: Uint8Array): boolean | undefined {
  const [key, signed, sig] = ['key.pem', 'message', 'signature'].map((name) => join(scratch, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(key, keyOf(vkey).export({ format: 'pem', type: 'spki' }))
  writeFileSync(signed, message)
  writeFileSync(sig, signature)
  const words = ['pkeyutl', '-verify', '-pubin', '-inkey', key, '-rawin', '-in', signed, '-sigfile', sig]
  const { error, status } = spawnSync('openssl', words, { timeout: 20_000 })
  if (error === undefined) return status === 0
  console.log('openssl is not installed, so signatures are verified without it')
  return undefined
}

/** The verdicts of Go on some cases; undefined without Go. */
async function byGo(cases: readonly object[]): Promise<string[] | undefined> {
  if (program === undefined) return undefined
  const verdicts = new Verdicts(program)
  try {
    return await verdicts.of(cases)
  } finally {
    await verdicts.end()
  }
}

const bytesOf = (hex: string) => Buffer.from(hex, 'hex')

/** The text of a note, its root, and the signature of its last line. */
function noteIn(note: string): { root: Buffer; signature: Buffer; size: number; text: string } {
  const split = note.lastIndexOf('\n\n')
  const text = note.slice(0, split + 1)
  const [, size, root = ''] = text.split('\n')
  const signature = Buffer.from(
    note
      .slice(split + 2)
      .trim()
      .split(' ')
      .at(-1) ?? '',
    'base64',
  ).subarray(4)
  return { root: Buffer.from(root, 'base64'), signature, size: Number(size), text }
}

bundle('the statement is a DSSE envelope that @sigstore/verify and openssl verify', async ({ create, vkey }) => {
  const { file } = await create({ run_id: 'run_top_1' })
  const envelope = JSON.parse(unpack(file).get('statement.json')?.toString() ?? '')
  const trust = {
    certificateAuthorities: [],
    ctlogs: [],
    timestampAuthorities: [],
    tlogs: [],
    publicKey: () => ({ publicKey: keyOf(vkey), validFor: () => true }),
  }
  const none = { ctlogThreshold: 0, timestampThreshold: 0, tlogThreshold: 0 }
  const bySigstore = (dsseEnvelope: object) => {
    const signed = bundleFromJSON({
      dsseEnvelope,
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: { publicKey: { hint: 'ledger' } },
    })
    return new Verifier(trust, none).verify(toSignedEntity(signed))
  }
  ok(bySigstore(envelope).key.equals(keyOf(vkey)))
  const payload = Buffer.from(envelope.payload, 'base64')
  const changed = Buffer.from(payload.toString().replace('urn:lockstep', 'urn:lockstop')).toString('base64')
  not.equal(changed, envelope.payload)
  for (const wrong of [{ payload: changed }, { payloadType: 'text/plain' }]) {
    let refused = ''
    try {
      bySigstore({ ...envelope, ...wrong })
    } catch (error) {
      refused = String(error)
    }
    ok(refused.includes('signature verification failed'), refused)
  }
  const { payloadType } = envelope
  const message = (bytes: Buffer) =>
    Buffer.concat([Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${bytes.length} `), bytes])
  const signature = Buffer.from(envelope.signatures[0].sig, 'base64')
  const byOpenssl = opensslVerifies(vkey, message(payload), signature)
  ok(byOpenssl !== false)
  if (byOpenssl) not(opensslVerifies(vkey, message(Buffer.from(changed, 'base64')), signature))
})

bundle(
  'the checkpoint is a note that Go and openssl verify, and its lines have the leaf hashes of sha256sum',
  async ({ create, place, vkey }) => {
    const { file } = await create({ from: 0, to: 9 })
    const files = unpack(file)
    const checkpoint = files.get('checkpoint')?.toString() ?? ''
    const { root, signature, size, text } = noteIn(checkpoint)
    const folder = spread(files, place('spread'))
    const lines = readFileSync(join(folder, 'entries.jsonl'), 'utf8').trimEnd().split('\n')
    const proofs = readFileSync(join(folder, 'proofs/inclusion.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    is(lines.length, 10)

    // Each line is hashed as a file of its own, behind a zero byte.
    const leaves = lines.map((line, at) => {
      const path = join(folder, `leaf-${at}`)
      writeFileSync(path, `\0${line}`)
      return path
    })
    const { error, stdout } = spawnSync('sha256sum', leaves, { encoding: 'utf8', timeout: 20_000 })
    if (error !== undefined) console.log('sha256sum is not installed, so the leaf hashes are not checked with it')
    else
      equal(
        stdout
          .trimEnd()
          .split('\n')
          .map((line) => line.slice(0, 64)),
        proofs.map(({ leaf_hash }) => leaf_hash),
      )

    const claims = proofs.map(({ leaf_hash, proof, seq }) =>
      inclusionCase({ leafHash: bytesOf(leaf_hash), proof: proof.map(bytesOf), root, seq, size }),
    )
    const verdicts = await byGo([noteCase(Buffer.from(checkpoint), vkey.trim()), ...claims])
    if (verdicts) equal(verdicts, [`yes ${Buffer.from(text).toString('base64')}`, ...claims.map(() => 'yes')])
    const byOpenssl = opensslVerifies(vkey, Buffer.from(text), signature)
    ok(byOpenssl !== false)
    if (byOpenssl) not(opensslVerifies(vkey, Buffer.from(text.replace(/\d/, '9')), signature))
  },
)

bundle('the proofs of every entry and of every earlier size are verified by Go', async ({ ledger, vkey }) => {
  const { size } = await ledger.head.get()
  const cases: object[] = []
  for (let seq = 0; seq < size; seq += 1) {
    const { checkpoint, leaf_hash, proof } = await ledger.log.prove({ seq, size })
    const { root } = noteIn(checkpoint)
    cases.push(noteCase(Buffer.from(checkpoint), vkey.trim()))
    cases.push(inclusionCase({ leafHash: bytesOf(leaf_hash), proof: proof.map(bytesOf), root, seq, size }))
    const grown = await ledger.log.consistency({ from: seq + 1, to: size })
    const [fromRoot, toRoot] = [bytesOf(grown.from_root), bytesOf(grown.to_root)]
    cases.push(consistencyCase({ from: seq + 1, fromRoot, proof: grown.proof.map(bytesOf), to: size, toRoot }))
  }
  const verdicts = await byGo(cases)
  if (verdicts === undefined) return
  is(verdicts.length, 3 * size)
  is(verdicts.filter((verdict) => !verdict.startsWith('yes')).length, 0)
})

suiteOf.run()
