import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { formatSubmission, parseSubmission, sizeIn } from '../../src/merkle/add-checkpoint.ts'
import { formatTlogProof, parseTlogProof } from '../../src/merkle/tlog-proof.ts'
import { leavesTo } from './model.ts'

const test = suite('proof texts')
const proof = leavesTo(3).map((leaf) => new Uint8Array(leaf))
const checkpoint = 'example.com/log\n9\nAAAA\n\n— example.com/log AAAAAAAA\n'
const hash = Buffer.from(proof[0] ?? []).toString('base64')

test('a request to a witness is read as it was written', () => {
  const submission = { old: 5, proof, checkpoint }
  const body = formatSubmission(submission)
  assert.ok(body.startsWith(`old 5\n${hash}\n`))
  assert.equal(parseSubmission(body), { ok: true, value: submission })
  assert.equal(parseSubmission(`old 0\n\n${checkpoint}`), { ok: true, value: { old: 0, proof: [], checkpoint } })
})

test('a malformed request to a witness is refused', () => {
  for (const body of [
    '',
    'old 5\n',
    `old 05\n\n${checkpoint}`,
    `old  5\n\n${checkpoint}`,
    `old -1\n\n${checkpoint}`,
    `old 9007199254740992\n\n${checkpoint}`,
    `new 5\n\n${checkpoint}`,
    `old 5\nAAAA\n\n${checkpoint}`,
    `old 5\n${hash} \n\n${checkpoint}`,
    `old 5\n${`${hash}\n`.repeat(64)}\n${checkpoint}`,
  ]) {
    assert.not(parseSubmission(body).ok, body)
  }
})

test('a proof text is read as it was written', () => {
  const claim = { index: 4, proof, checkpoint }
  const text = formatTlogProof(claim)
  assert.ok(text.startsWith(`c2sp.org/tlog-proof@v1\nindex 4\n${hash}\n`))
  assert.equal(parseTlogProof(text), { ok: true, value: claim })
  const withExtra = { ...claim, extra: new Uint8Array([0, 0, 0]) }
  assert.is(formatTlogProof(withExtra), text.replace('index', 'extra AAAA\nindex'))
  assert.equal(parseTlogProof(formatTlogProof(withExtra)), { ok: true, value: withExtra })
})

test('a malformed proof text is refused', () => {
  const text = formatTlogProof({ index: 4, proof, checkpoint })
  for (const wrong of [
    '',
    text.replace('@v1', '@v2'),
    text.replace('index 4', 'index 04'),
    text.replace('index 4\n', ''),
    text.replace('index', 'extra A\nindex'),
    text.replace(hash, 'AAAA'),
    text.replace(`${hash}\n`, `${hash}\n`.repeat(70)),
    text.slice(0, text.indexOf('\n\n')),
  ]) {
    assert.not(parseTlogProof(wrong).ok, wrong)
  }
})

test('a size is a plain decimal number', () => {
  assert.is(sizeIn('0'), 0)
  assert.is(sizeIn('120'), 120)
  for (const text of ['', '00', '01', '1.0', '1e3', ' 1', '-1', '9007199254740992']) assert.is(sizeIn(text), undefined)
})

test.run()
