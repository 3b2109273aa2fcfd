import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { formatCheckpoint } from '../../src/merkle/checkpoint.ts'
import { cosign } from '../../src/merkle/cosignature.ts'
import { formatSignedNote } from '../../src/merkle/note.ts'
import { parseWitnessPolicy, verifyQuorum } from '../../src/merkle/witness-policy.ts'
import { newKey, verifyByNode } from '../support/witness-keys.ts'
import { leafAt, sha256 } from './model.ts'

const test = suite('witness policy')
const log = newKey('example.com/log')
const witnesses = Array.from({ length: 6 }, (_, at) => newKey(`witness.example/w${at}`))
const lines = witnesses.map(({ witnessVkey }, at) => `witness w${at} ${witnessVkey} https://w${at}.example/`)

async function policyOf(text: string) {
  const parsed = await parseWitnessPolicy(text, sha256)
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.value
}

test('logs, witnesses, groups and a quorum are read', async () => {
  const text = [
    '# the logs',
    `  log ${log.vkey}\thttps://log.example`,
    '',
    ...lines,
    'group x 2 w0 w1 w2',
    'group y any w3 w4',
    'group both all x y w5',
    'quorum both',
  ].join('\n')
  const { isQuorum, logs, witnesses: read } = await policyOf(text)
  assert.equal(
    logs.map(({ name, url }) => [name, url]),
    [['example.com/log', 'https://log.example']],
  )
  assert.equal(
    read.map(({ name, url }) => [name, url]),
    lines.map((_, at) => [`w${at}`, `https://w${at}.example/`]),
  )
  for (let chosen = 0; chosen < 64; chosen += 1) {
    const has = (at: number) => (chosen >> at) & 1
    const expected = has(0) + has(1) + has(2) >= 2 && has(3) + has(4) >= 1 && has(5) === 1
    const names = new Set(lines.flatMap((_, at) => (has(at) ? [`w${at}`] : [])))
    assert.is(isQuorum(names), expected, [...names].join(' '))
  }
})

test('a quorum is one witness, or nobody', async () => {
  const one = await policyOf(`${lines[0]}\nquorum w0`)
  assert.ok(one.isQuorum(new Set(['w0'])))
  assert.not(one.isQuorum(new Set()))
  assert.ok((await policyOf('quorum none')).isQuorum(new Set()))
})

const many = (count: number) => Array.from({ length: count }, (_, at) => `group g${at} any w0`).join('\n')
const refused: [title: string, text: string, reason: RegExp][] = [
  ['an empty policy', '', /no line "quorum"/],
  ['two quorums', 'quorum none\nquorum none', /^line 2: an earlier line has the quorum/],
  ['a quorum that is defined below', `quorum w0\n${lines[0]}`, /^line 1: no line above defines "w0"/],
  ['an unknown keyword', 'allow all', /^line 1: "allow" is not/],
  ['a log with the key of a witness', `log ${witnesses[0]?.witnessVkey}`, /^line 1: the key is not an Ed25519 key$/],
  ['a witness with the key of a log', `witness w ${log.vkey}`, /not an Ed25519 key for cosignatures/],
  ['a witness named none', `witness none ${witnesses[0]?.witnessVkey}`, /"none" is not a name/],
  ['a name twice', `${lines[0]}\n${lines[1]?.replace('w1', 'w0')}`, /^line 2: an earlier line defines "w0"/],
  ['a key twice', `${lines[0]}\n${lines[0]?.replace('w0', 'other')}`, /^line 2: an earlier line has the same key/],
  ['a group without members', `${lines[0]}\ngroup g any`, /a count and at least one member/],
  ['a count of 0', `${lines[0]}\ngroup g 0 w0`, /must be all, any, or 1 to 1/],
  ['a count above the members', `${lines[0]}\ngroup g 2 w0`, /must be all, any, or 1 to 1/],
  ['a count with a leading zero', `${lines[0]}\ngroup g 01 w0`, /must be all, any, or 1 to 1/],
  ['a member of two groups', `${lines[0]}\n${many(2)}`, /^line 3: "w0" is a member of a group already/],
  ['a member twice', `${lines[0]}\ngroup g any w0 w0`, /is a member of a group already/],
  ['a group of itself', 'group g any g', /no line above defines "g"/],
  ['none as a member', 'group g any none', /no line above defines "none"/],
  ['a word too many', `${lines[0]} more\nquorum w0`, /^line 1: it has too many words/],
  ['a carriage return', `${lines[0]}\r\nquorum w0`, /^line 1: it contains a control character/],
  ['a policy that is too long', `${'#'.repeat(300_000)}\nquorum none`, /longer than/],
  [
    'too many witnesses',
    Array.from({ length: 65 }, (_, at) => `witness v${at} ${newKey('v').witnessVkey}`).join('\n'),
    /^line 65: a policy has at most 64/,
  ],
]

for (const [title, text, reason] of refused) {
  test(`${title} is refused`, async () => {
    const parsed = await parseWitnessPolicy(text, sha256)
    if (parsed.ok) assert.unreachable('it was accepted')
    else assert.match(parsed.reason, reason)
  })
}

test('a checkpoint is witnessed if the keys of a quorum cosigned it', async () => {
  const policy = await policyOf(`${lines.slice(0, 3).join('\n')}\ngroup g 2 w0 w1 w2\nquorum g`)
  const text = formatCheckpoint({ origin: 'example.com/log', size: 1, root: leafAt(0) })
  const signature = await log.note.sign(new TextEncoder().encode(text))
  const signed = formatSignedNote({ text, signatures: [{ ...log.note, signature }] })
  const by = async (...at: number[]) =>
    signed + (await Promise.all(at.map((one) => cosign(text, 1, (witnesses[one] ?? log).cosigner)))).join('')
  const reasonOf = async (note: string) => {
    const verified = await verifyQuorum(note, policy, verifyByNode)
    return verified.ok ? verified.value.map(({ key }) => key.name) : verified.reason
  }
  assert.equal(await reasonOf(await by(0, 2)), ['witness.example/w0', 'witness.example/w2'])
  assert.is(await reasonOf(await by(1)), 'the checkpoint is cosigned by w1, which is not a quorum')
  assert.is(
    await reasonOf(await by(3, 4)),
    'the checkpoint is cosigned by no witness of the policy, which is not a quorum',
  )
  // The same witness twice is one witness.
  assert.is(await reasonOf(await by(1, 1)), 'the checkpoint is cosigned by w1, which is not a quorum')
})

test.run()
