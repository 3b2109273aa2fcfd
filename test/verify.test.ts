import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import canonicalize from 'canonicalize'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { formatCheckpoint } from '../src/merkle/checkpoint.ts'
import { leafHash } from '../src/merkle/hash.ts'
import { formatSignedNote } from '../src/merkle/note.ts'
import { consistencyProof, inclusionProof } from '../src/merkle/proofs.ts'
import { emptyTree, growTree, readerOf, rootAt } from '../src/merkle/tiles.ts'
import { formatVkey, keyIdOf } from '../src/merkle/vkey.ts'
import {
  leafHashOf,
  verifyCheckpoint,
  verifyConsistencyProof,
  verifyEntry,
  verifyGrowth,
  verifyProof,
} from '../src/verify.ts'
import { fixture, hexOf, sha256, tileStore } from './merkle/model.ts'
import { root } from './runner.ts'

const test = suite('verify')

type Document = Record<string, unknown>

const entries = Array.from({ length: 300 }, (_, seq) => ({
  type: 'lock.acquired',
  seq,
  data: { holder: 'agent-7', note: 'é "𝒩"', list: [{ value: seq, key: 'b' }, null, true] },
}))
const lines = entries.map((entry) => canonicalize(entry) ?? '')
const store = tileStore()
const { tree, tiles } = growTree(
  emptyTree,
  lines.map((line) => leafHash(Buffer.from(line), sha256)),
  store,
  sha256,
)
store.put(tiles)
const reader = readerOf(tree, store)

function logNamed(name: string) {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const key = { name, publicKey: new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)) }
  const checkpointAt = (size: number, root = rootAt(size, reader, sha256)) => {
    const text = formatCheckpoint({ origin: name, size, root })
    const signature = sign(null, Buffer.from(text), privateKey)
    return formatSignedNote({ text, signatures: [{ name, keyId: keyIdOf(key, sha256), signature }] })
  }
  return { vkey: formatVkey(key, sha256), checkpointAt }
}

const log = logNamed('lockstep.local/test')

/** What `lockstep prove <seq> --json` prints, through JSON text as it reaches a verifier. */
function documentOf(seq: number, size: number): Document {
  const document = {
    seq,
    size,
    root: hexOf(rootAt(size, reader, sha256)),
    leaf_hash: hexOf(leafHash(Buffer.from(lines[seq] ?? ''), sha256)),
    proof: inclusionProof(seq, size, reader, sha256).map(hexOf),
    entry: entries[seq],
    checkpoint: log.checkpointAt(size),
    vkey: log.vkey,
  }
  return JSON.parse(JSON.stringify(document))
}

function consistencyOf(from: number, to: number): Document {
  const [from_root, to_root] = [from, to].map((size) => hexOf(rootAt(size, reader, sha256)))
  return { from, from_root, to, to_root, proof: consistencyProof(from, to, reader, sha256).map(hexOf) }
}

/** The check that failed, or 'ok'. */
const outcome = (result: { ok: true } | { ok: false; check: string }) => (result.ok ? 'ok' : result.check)
const without = (document: Document, ...names: string[]) =>
  Object.fromEntries(Object.entries(document).filter(([name]) => !names.includes(name)))

test('a leaf hash is SHA-256 of a zero byte and the line', async () => {
  const [line = ''] = lines
  assert.is(await leafHashOf(line), createHash('sha256').update('\0').update(line).digest('hex'))
})

test('the document of every place in trees of several sizes verifies', async () => {
  for (const [seq, size] of [
    [0, 1],
    [0, 300],
    [299, 300],
    [255, 256],
    [256, 257],
    [7, 12],
  ] as const) {
    const document = documentOf(seq, size)
    const { leaf_hash, root } = document
    const proven = { ok: true, seq, size, root, leaf_hash, authenticity: 'checked', texts: [], withheld: [] }
    assert.equal(await verifyProof(document, { vkey: log.vkey }), proven)
  }
})

test('only a key from the caller makes a proof authentic', async () => {
  const document = documentOf(7, 300)
  const authenticityOf = async (given: Document) => {
    const result = await verifyProof(given)
    return result.ok ? result.authenticity : result.check
  }
  assert.is(await authenticityOf(document), 'unchecked')
  assert.is(await authenticityOf(without(document, 'checkpoint', 'vkey')), 'unchecked')
  assert.is(await authenticityOf(without(document, 'checkpoint')), 'unchecked')
  assert.is(await authenticityOf(without(document, 'vkey')), 'key')
  const forger = logNamed('lockstep.local/test')
  const forged = { ...document, checkpoint: forger.checkpointAt(300), vkey: forger.vkey }
  assert.is(await authenticityOf(forged), 'unchecked')
  assert.is(outcome(await verifyProof(forged, { vkey: log.vkey })), 'checkpoint')
  assert.is(outcome(await verifyProof(without(document, 'checkpoint'), { vkey: log.vkey })), 'checkpoint')
  assert.is(outcome(await verifyProof(document, { vkey: null } as never)), 'key')
  assert.is(outcome(await verifyProof(document, { vkey: '' })), 'key')
})

test('each failing check names itself', async () => {
  const document = documentOf(7, 300)
  const other = documentOf(8, 300)
  const rows: [string, Document][] = [
    ['entry', { entry: other.entry }],
    ['entry', { seq: 8 }],
    ['entry', { entry: without(document.entry as Document, 'seq') }],
    ['entry', { entry: { ...(document.entry as Document), Extra: 1 } }],
    ['entry', { entry: { ...(document.entry as Document), extra: 0.5 } }],
    ['leaf_hash', { entry: { ...(document.entry as Document), extra: 1 } }],
    ['leaf_hash', { entry: JSON.parse(`{"__proto__":1,${lines[7]?.slice(1)}`) }],
    ['leaf_hash', { leaf_hash: other.leaf_hash }],
    ['inclusion', { proof: other.proof }],
    ['inclusion', { proof: (document.proof as string[]).slice(1) }],
    ['inclusion', { root: other.leaf_hash }],
    ['inclusion', { size: 7 }],
    ['inclusion', { size: 3_000 }],
    ['document', { leaf_hash: (document.leaf_hash as string).toUpperCase() }],
    ['document', { root: `${document.root}00` }],
    ['document', { size: '300' }],
    ['document', { proof: Array(65).fill(document.root) }],
    ['checkpoint', { checkpoint: log.checkpointAt(299) }],
    ['checkpoint', { checkpoint: log.checkpointAt(299, rootAt(300, reader, sha256)) }],
    ['checkpoint', { checkpoint: log.checkpointAt(300, sha256(Buffer.of(0))) }],
    ['checkpoint', { checkpoint: logNamed('lockstep.local/test').checkpointAt(300) }],
    ['checkpoint', { checkpoint: logNamed('lockstep.local/other').checkpointAt(300) }],
    ['checkpoint', { checkpoint: log.checkpointAt(300).replace('300', '301') }],
    ['checkpoint', { checkpoint: log.checkpointAt(300).trimEnd() }],
    ['key', { vkey: log.vkey.replace('test', 'tset') }],
    ['ok', { extra: 'members that are not read' }],
  ]
  for (const [check, changed] of rows) {
    assert.is(outcome(await verifyProof({ ...document, ...changed })), check, JSON.stringify(changed))
  }
})

const hostile = [
  ...[undefined, null, true, 0, -1, 0.5, 2 ** 53, Number.NaN, '', 'text', '00', 'ab'.repeat(31), 'AB'.repeat(32)],
  ...[[], {}, [[]], [null], ['00'], new Array(3), Array(65).fill('ab'.repeat(32)), 1n, Symbol('a'), () => 1],
  ...[
    '__proto__',
    'x'.repeat(2_000_000),
    '\ud800',
    '1'.repeat(64),
    JSON.parse(`${'['.repeat(5_000)}${']'.repeat(5_000)}`),
  ],
]

test('hostile members of any kind are refused without an exception', async () => {
  const document = documentOf(7, 300)
  for (const name of Object.keys(document)) {
    for (const [at, value] of hostile.entries()) {
      const result = await verifyProof({ ...document, [name]: value })
      const isAbsent = name === 'checkpoint' && value === undefined
      assert.is(result.ok, isAbsent, `${name} = hostile ${at}`)
      if (!result.ok) assert.ok(result.reason.length > 0)
    }
  }
  const consistency = consistencyOf(7, 300)
  for (const name of Object.keys(consistency)) {
    for (const [at, value] of hostile.entries()) {
      const result = await verifyConsistencyProof({ ...consistency, [name]: value })
      // From size 0 only the root of the empty tree and an empty proof would do.
      assert.is(result.ok, false, `${name} = hostile ${at}`)
    }
  }
  for (const value of hostile) {
    assert.not((await verifyProof(value)).ok)
    assert.not((await verifyConsistencyProof(value)).ok)
    assert.not((await verifyCheckpoint(value, log.vkey)).ok)
    assert.not((await verifyCheckpoint(log.checkpointAt(1), value as never)).ok)
    assert.not((await verifyEntry({ line: value, seq: value, size: value, proof: value, root: value })).ok)
  }
})

test('an entry line verifies only in its canonical spelling', async () => {
  const { seq, size, proof, root, leaf_hash } = documentOf(7, 300)
  const line = lines[7] ?? ''
  assert.equal(await verifyEntry({ line, seq, size, proof, root }), { ok: true, seq, size, root, leaf_hash })
  for (const other of [`${line}\n`, ` ${line}`, JSON.stringify(entries[7]), line.replace('é', '\\u00e9'), '']) {
    assert.is(outcome(await verifyEntry({ line: other, seq, size, proof, root })), 'inclusion')
  }
  assert.is(outcome(await verifyEntry({ line: '\ud800', seq, size, proof, root })), 'entry')
})

test('a consistency document verifies, or says why it does not', async () => {
  for (const [from, to] of [
    [0, 0],
    [0, 300],
    [1, 300],
    [256, 300],
    [299, 300],
    [300, 300],
  ] as const) {
    const document = JSON.parse(JSON.stringify(consistencyOf(from, to)))
    // Whoever wrote the document chose its roots, and the answer says so.
    const { proof, ...trees } = document
    assert.equal(await verifyConsistencyProof(document), { ok: true, ...trees, authenticity: 'unchecked' })
  }
  const document = consistencyOf(7, 300)
  for (const changed of [{ from: 8 }, { to: 7 }, { from_root: document.to_root }, { proof: [] }]) {
    assert.is(outcome(await verifyConsistencyProof({ ...document, ...changed })), 'consistency')
  }
})

test('a ledger that only grew between two checkpoints verifies, whoever delivered the proof', async () => {
  const { proof, ...trees } = consistencyOf(7, 300)
  const [old, grown] = [log.checkpointAt(7), log.checkpointAt(300)]
  assert.equal(await verifyGrowth(old, grown, proof, log.vkey), {
    ok: true,
    ...trees,
    authenticity: 'checked',
  })
  assert.is(outcome(await verifyGrowth(grown, old, proof, log.vkey)), 'consistency')
  assert.is(outcome(await verifyGrowth(old, grown, [], log.vkey)), 'consistency')
  // A fork: the key signed another root of the same size.
  const fork = log.checkpointAt(300, rootAt(299, reader, sha256))
  assert.is(outcome(await verifyGrowth(old, fork, proof, log.vkey)), 'consistency')
  assert.is(
    outcome(await verifyGrowth(old, logNamed('lockstep.local/test').checkpointAt(300), proof, log.vkey)),
    'checkpoint',
  )
  assert.is(outcome(await verifyGrowth(old, grown, proof, undefined as never)), 'key')
})

test('who meant to check with a key never gets an unchecked answer', async () => {
  const document = documentOf(7, 300)
  for (const options of [{ vkey: undefined }, {}]) {
    assert.is(outcome(await verifyProof(document, options as never)), 'key')
  }
})

/** Every verifier, with inputs that it accepts. */
function verifiers() {
  const document = documentOf(7, 300)
  const { seq, size, proof, root } = document
  const notes = [log.checkpointAt(7), log.checkpointAt(300)] as const
  return { document, claim: { line: lines[7], proof, root, seq, size }, growth: consistencyOf(7, 300), notes }
}

/** The same object with a member whose getter throws. */
const throwing = (value: object, name: string) =>
  Object.defineProperty({ ...value }, name, {
    enumerable: true,
    get: () => {
      throw new Error('no')
    },
  })

test('an input that throws when it is read is a failure, for every verifier', async () => {
  const { claim, document, growth, notes } = verifiers()
  const [old, grown] = [await notes[0], await notes[1]]
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  const bad = (asked: Promise<{ ok: boolean }>) => asked.then(({ ok }) => assert.is(ok, false))
  for (const name of Object.keys(document)) {
    await bad(verifyProof(throwing(document, name)))
    await bad(verifyProof({ ...document, [name]: proxy }))
  }
  for (const name of Object.keys(claim)) {
    await bad(verifyEntry(throwing(claim, name) as never))
    await bad(verifyEntry({ ...claim, [name]: proxy } as never))
  }
  for (const name of Object.keys(growth)) {
    await bad(verifyConsistencyProof(throwing(growth, name)))
    await bad(verifyConsistencyProof({ ...growth, [name]: proxy }))
  }
  const { proof } = growth
  for (const trust of [proxy, throwing({}, 'vkey'), { vkey: proxy }, {}, null, 7, undefined] as never[]) {
    if (trust !== undefined) await bad(verifyProof(document, trust))
    await bad(verifyCheckpoint(old, trust))
    await bad(verifyGrowth(old, grown, proof, trust))
  }
  await bad(verifyCheckpoint(proxy, log.vkey))
  await bad(verifyGrowth(proxy, grown, proof, log.vkey))
  await bad(verifyGrowth(old, grown, proxy, log.vkey))
  for (const value of [proxy, null, undefined]) {
    await bad(verifyProof(value))
    await bad(verifyConsistencyProof(value))
    await bad(verifyEntry(value as never))
  }
})

test('a list that says one length and yields without end is not followed', async () => {
  const { claim, document, growth } = verifiers()
  const endless = new Proxy(claim.proof as string[], {
    get: (list, name) =>
      name === Symbol.iterator
        ? function* () {
            for (;;) yield '00'.repeat(32)
          }
        : Reflect.get(list, name),
  })
  // Its members are read by their places, as JSON has them.
  assert.is(outcome(await verifyEntry({ ...claim, proof: endless })), 'ok')
  assert.is(outcome(await verifyProof({ ...document, proof: endless })), 'ok')
  assert.is(outcome(await verifyConsistencyProof({ ...growth, proof: endless })), 'consistency')
})

test('without WebCrypto, as on a page from an insecure origin, the answer says what is missing', async () => {
  const { crypto } = globalThis
  Object.defineProperty(globalThis, 'crypto', { configurable: true, value: {} })
  try {
    assert.is(outcome(await verifyProof(documentOf(7, 300))), 'platform')
    const { claim, growth, notes } = verifiers()
    for (const asked of [
      verifyCheckpoint(await notes[0], log.vkey),
      verifyEntry(claim),
      verifyConsistencyProof(growth),
      verifyGrowth(await notes[0], await notes[1], growth.proof, log.vkey),
    ]) {
      assert.is(outcome(await asked), 'platform')
    }
  } finally {
    Object.defineProperty(globalThis, 'crypto', { configurable: true, value: crypto })
  }
})

test('a platform without Ed25519 is not a fault of the key', async () => {
  const { importKey } = crypto.subtle
  const importing = (name: string) => () => Promise.reject(Object.assign(new Error('no'), { name }))
  try {
    for (const [name, check] of [
      ['NotSupportedError', 'platform'],
      ['DataError', 'key'],
    ] as const) {
      crypto.subtle.importKey = importing(name) as never
      assert.is(outcome(await verifyCheckpoint(log.checkpointAt(7), log.vkey)), check)
      assert.is(outcome(await verifyGrowth(log.checkpointAt(7), log.checkpointAt(8), [], log.vkey)), check)
    }
  } finally {
    crypto.subtle.importKey = importKey
  }
})

test('a checkpoint verifies with its key and shows its tree head', async () => {
  assert.equal(await verifyCheckpoint(log.checkpointAt(300), log.vkey), {
    ok: true,
    origin: 'lockstep.local/test',
    size: 300,
    root: hexOf(rootAt(300, reader, sha256)),
  })
  assert.is(outcome(await verifyCheckpoint(log.checkpointAt(300), { vkey: log.vkey })), 'ok')
  assert.is(outcome(await verifyCheckpoint(log.checkpointAt(300), logNamed('lockstep.local/test').vkey)), 'checkpoint')
  assert.is(outcome(await verifyCheckpoint(log.checkpointAt(300), `${log.vkey}=`)), 'key')
})

test("WebCrypto accepts the signature of the example of Go's note package", async () => {
  type Notes = { keys: { vkey: string }[]; notes: { note: string }[] }
  const { keys, notes } = fixture<Notes>('checkpoint/notes.json')
  const [note, vkey] = [notes[0]?.note ?? '', keys[0]?.vkey ?? '']
  // The note is no checkpoint: that this is what is wrong with it says that its signature is not.
  const reasonOf = async (text: string) => {
    const result = await verifyCheckpoint(text, vkey)
    return result.ok ? 'ok' : result.reason
  }
  assert.is(await reasonOf(note), 'the checkpoint has fewer than three lines')
  assert.is(await reasonOf(note.replace('answer', 'reason')), 'the signature by PeterNeumann is wrong')
})

test('the verifier uses nothing that a browser lacks', () => {
  const source = join(root, 'src')
  const namesIn = (room: string) => readdirSync(join(source, room)).map((name) => `${room}/${name}`)
  const files = ['verify.ts', ...namesIn('proof'), ...namesIn('merkle')]
  assert.ok(files.length > 10)
  for (const file of files) {
    const text = readFileSync(join(source, file), 'utf8')
    assert.not.match(text, /node:|\bBuffer\b|\bprocess\b|\brequire\b|\bglobal\b|__dirname/, file)
    for (const [, from = ''] of text.matchAll(/from '([^']*)'/g))
      assert.match(from, /^\.{1,2}\/((merkle|proof)\/)?[a-z-]+\.ts$/)
  }
})

test.run()
