import canonicalize from 'canonicalize'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { cosign } from '../../src/merkle/cosignature.ts'
import { toHex } from '../../src/merkle/hash.ts'
import { inclusionProof } from '../../src/merkle/proofs.ts'
import { formatTlogProof } from '../../src/merkle/tlog-proof.ts'
import { verifyCheckpoint, verifyGrowth, verifyProof, verifyTlogProof } from '../../src/verify.ts'
import { sha256 } from '../merkle/model.ts'
import { newKey } from '../support/witness-keys.ts'
import { LogOfLeaves } from './log-of-leaves.ts'

const test = suite('witnesses for lockstep/verify')
const entryAt = (seq: number) => ({ data: { holder: 'é "𝒩"' }, seq, type: 'lock.acquired' })
const lineAt = (seq: number) => canonicalize(entryAt(seq)) ?? ''
const log = new LogOfLeaves(
  Array.from({ length: 300 }, (_, seq) => lineAt(seq)),
  { origin: 'example.com/log' },
)
const { vkey } = log.key
const witnesses = ['w0', 'w1', 'w2'].map((name) => newKey(`witness.example/${name}`))
const policy = [
  `log ${vkey}`,
  ...witnesses.map(({ witnessVkey }, at) => `witness w${at} ${witnessVkey}`),
  'group two 2 w0 w1 w2',
  'quorum two',
].join('\n')
const trust = { policy, vkey }

async function cosignedBy(size: number, ...at: number[]): Promise<string> {
  const lines = await Promise.all(
    at.map((one) => cosign(log.text(size), 1_700_000_000 + one, (witnesses[one] ?? log.key).cosigner)),
  )
  return (await log.checkpoint(size)) + lines.join('')
}

const documentOf = (seq: number, size: number, checkpoint: string) => ({
  checkpoint,
  entry: entryAt(seq),
  leaf_hash: toHex(sha256(Buffer.from(`\0${lineAt(seq)}`))),
  proof: inclusionProof(seq, size, log.reader, sha256).map(toHex),
  root: toHex(log.root(size)),
  seq,
  size,
  vkey,
})

test('a checkpoint with a quorum is verified, and the answer names the witnesses and their times', async () => {
  const verified = await verifyCheckpoint(await cosignedBy(200, 2, 0), trust)
  assert.equal(verified, {
    ok: true,
    origin: 'example.com/log',
    root: toHex(log.root(200)),
    size: 200,
    witnesses: [
      { name: 'witness.example/w0', timestamp: 1_700_000_000 },
      { name: 'witness.example/w2', timestamp: 1_700_000_002 },
    ],
  })
  assert.not('witnesses' in (await verifyCheckpoint(await cosignedBy(200, 2, 0), vkey)))
})

test('a checkpoint without a quorum is refused, whatever asks for it', async () => {
  const [alone, both] = [await cosignedBy(200, 1), await cosignedBy(100, 0, 1)]
  const proof = log.proof(100, 200).map(toHex)
  const failures = [
    await verifyCheckpoint(alone, trust),
    await verifyProof(documentOf(7, 200, alone), trust),
    await verifyGrowth(both, alone, proof, trust),
    await verifyTlogProof(
      formatTlogProof({ checkpoint: alone, index: 7, proof: inclusionProof(7, 200, log.reader, sha256) }),
      trust,
      lineAt(7),
    ),
  ]
  for (const failure of failures) {
    assert.equal(failure, {
      check: 'witnesses',
      ok: false,
      reason: 'the checkpoint is cosigned by w1, which is not a quorum',
    })
  }
})

test('a proof and a growth with a quorum are verified; an old checkpoint that was kept needs none', async () => {
  const note = await cosignedBy(200, 0, 1)
  const proven = await verifyProof(documentOf(7, 200, note), trust)
  assert.ok(proven.ok && proven.authenticity === 'checked' && proven.witnesses?.length === 2)
  const proof = log.proof(100, 200).map(toHex)
  const grown = await verifyGrowth(await log.checkpoint(100), note, proof, trust)
  assert.ok(grown.ok && grown.from === 100 && grown.to === 200)
})

test('a wrong cosignature, and a policy that cannot be used, are failures', async () => {
  const note = await cosignedBy(200, 0, 1)
  const stranger = newKey('example.com/log')
  const checkOf = async (of: string, with_: unknown) => {
    const verified = await verifyCheckpoint(of, with_ as typeof trust)
    return verified.ok ? 'verified' : verified.check
  }
  assert.is(await checkOf(note, trust), 'verified')
  // A digit in the middle of the last signature, where any other digit is base64, too.
  const at = note.length - 30
  const changed = `${note.slice(0, at)}${note[at] === 'A' ? 'B' : 'A'}${note.slice(at + 1)}`
  assert.is(await checkOf(changed, trust), 'witnesses')
  for (const wrong of [undefined, null, 7, '', 'quorum w9', policy.replace(vkey, stranger.vkey)]) {
    assert.is(await checkOf(note, { policy: wrong, vkey }), 'witnesses', String(wrong))
  }
  // The signature of the log is still checked, and first.
  assert.is(await checkOf(note, { policy, vkey: stranger.vkey }), 'checkpoint')
})

test('a text of C2SP tlog-proof is verified with the entry in its line "extra", or with another', async () => {
  const checkpoint = await cosignedBy(200, 0, 1)
  const proof = inclusionProof(7, 200, log.reader, sha256)
  const text = formatTlogProof({ checkpoint, extra: Buffer.from(lineAt(7)), index: 7, proof })
  const verified = await verifyTlogProof(text, trust)
  assert.ok(verified.ok)
  assert.is(verified.line, lineAt(7))
  assert.equal([verified.seq, verified.size, verified.authenticity, verified.witnesses?.length], [7, 200, 'checked', 2])
  const bare = formatTlogProof({ checkpoint, index: 7, proof })
  assert.is((await verifyTlogProof(bare, trust, lineAt(7))).ok, true)
  const checkOf = async (of: unknown, line?: string) => {
    const answer = await verifyTlogProof(of, { vkey }, line)
    return answer.ok ? 'verified' : answer.check
  }
  assert.is(await checkOf(text), 'verified')
  assert.is(await checkOf(bare), 'entry')
  assert.is(await checkOf(bare, lineAt(8)), 'inclusion')
  assert.is(await checkOf(formatTlogProof({ checkpoint, extra: Buffer.from(lineAt(8)), index: 7, proof })), 'inclusion')
  assert.is(await checkOf(formatTlogProof({ checkpoint, extra: Buffer.from([0xff]), index: 7, proof })), 'entry')
  assert.is(await checkOf(text.replace('index 7', 'index 6')), 'inclusion')
  assert.is(await checkOf(text.replace('@v1', '@v2')), 'document')
  assert.is(await checkOf(text.replace('\n200\n', '\n201\n')), 'checkpoint')
  for (const other of [undefined, null, 7, {}, '']) assert.is(await checkOf(other), 'document')
})

test.run()
