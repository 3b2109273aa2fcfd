import { hash } from 'node:crypto'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { randomFrom } from '../../fixtures/random.ts'
import { foldOf } from '../../src/domain/turn/stem.ts'
import {
  fileName,
  hashedStemPath,
  partPath,
  refPath,
  runPath,
  stemAt,
  stemPath,
} from '../../src/files/workspace/names.ts'
import { printedSeed } from '../support/seed.ts'

const seed = printedSeed('workspace names')
const names = suite('names of files in a workspace')

names('escape what a file system cannot hold, and nothing else', () => {
  const rows: [text: string, name: string][] = [
    ['page', 'page'],
    ['v1.0', 'v1.0'],
    ['Größe 2', 'Größe 2'],
    ['100%', '100%25'],
    ['%2F', '%252F'],
    ['a/b', 'a%2Fb'],
    ['a\\b', 'a%5Cb'],
    ['a:b*c?"<>|', 'a%3Ab%2Ac%3F%22%3C%3E%7C'],
    ['line\nfeed\u0000', 'line%0Afeed%00'],
    ['\u0085', '%C2%85'],
    ['.', '%2E'],
    ['..', '.%2E'],
    ['.hidden', '.hidden'],
    ['dot.', 'dot%2E'],
    ['space ', 'space%20'],
    ['CON', '%43ON'],
    ['con.txt', '%63on.txt'],
    ['console', 'console'],
    ['com1', '%63om1'],
    ['LPT¹', '%4CPT¹'],
    ['a\u200bb\ufe0f', 'a%E2%80%8Bb%EF%B8%8F'],
    ['\ufffd', '%EF%BF%BD'],
    ['cafe\u0301 é', 'cafe%CC%81 %C3%A9'],
    ['\u212b', '%E2%84%AB'],
    ['x.BODY.JSON', 'x.BODY.JSO%4E'],
    ['x.body.jsonl', 'x.body.jsonl'],
  ]
  for (const [text, name] of rows) {
    is(fileName(text), name)
    is(decodeURIComponent(name), text)
  }
})

/** Texts of parts that something makes something else of. */
function* nasty(count: number): Generator<string> {
  const random = randomFrom(seed)
  const parts = [
    'a',
    'A',
    '%',
    '.',
    ' ',
    ':',
    'é',
    'e\u0301',
    'É',
    '😀',
    'CON',
    'con',
    'h',
    '2F',
    '\u200b',
    '.Body.Json',
    'ß',
  ]
  for (let round = 0; round < count; round += 1) {
    yield Array.from({ length: 1 + Math.floor(random() * 6) }, () => parts[Math.floor(random() * parts.length)]).join(
      '',
    )
  }
}

/** What file systems that ignore case and normalisation take for one. */
const seenAsOne = (name: string) => foldOf(name.normalize('NFD')).normalize('NFC')

names('are read back to exactly the text that they encode', () => {
  const [stems, refs] = [new Map<string, string>(), new Map<string, string>()]
  for (const text of nasty(5_000)) {
    const name = fileName(text)
    is(decodeURIComponent(name), text, JSON.stringify(text))
    ok(!/[\p{Cc}/\\]/u.test(name) && name !== '.' && name !== '..')
    is(stemAt(stemPath(text)), text)
    // Of stems that differ only in case there is one in a workspace.
    const stem = seenAsOne(stemPath(text))
    is(stems.get(stem) ?? foldOf(text), foldOf(text), `${stem} stands for two`)
    stems.set(stem, foldOf(text))
    const plain = refPath({ id: text, type: 'page' }, { ignoresCase: false })
    const ref = refPath({ id: text, type: 'page' }, { ignoresCase: true })
    for (const path of [plain, ref]) is(decodeURIComponent(path), `_index/refs/by_id/page/${text}.json`)
    is(refs.get(seenAsOne(ref)) ?? text, text, `${ref} stands for two where case or normalisation is ignored`)
    refs.set(seenAsOne(ref), text)
  }
})

names('of identities differ by more than case and normalisation if a disk ignores case', () => {
  is(refPath({ id: 'DEL-8', type: 'Page' }, { ignoresCase: false }), '_index/refs/by_id/Page/DEL-8.json')
  const ref = (id: string, type = 'page') =>
    refPath({ id, type }, { ignoresCase: true }).slice('_index/refs/by_id/'.length)
  is(ref('DEL-8'), 'page/%44%45%4C-8.json')
  is(ref('del-8', 'Page'), '%50age/del-8.json')
  is(ref('é'), 'page/%C3%A9.json')
  is(ref('e\u0301'), 'page/e%CC%81.json')
  is(ref('p/1', 'page:x'), 'page%3Ax/p%2F1.json')
})

names('of more than 200 bytes are a hash, with the stem in a file beside it', () => {
  const long = 'é'.repeat(101)
  is(fileName('e'.repeat(200)), 'e'.repeat(200))
  is(fileName(long), `%h${hash('sha256', long, 'hex')}`)
  match(fileName('/'.repeat(67)), /^%h[0-9a-f]{64}$/)
  is(fileName(''), `%h${hash('sha256', '', 'hex')}`)
  is(stemAt(stemPath(`a/${long}`)), undefined)
  is(hashedStemPath(`a/${long}`), `_index/stems/${hash('sha256', `a/${long}`, 'hex')}.json`)
  is(hashedStemPath('a/%h'), undefined)
})

names('that encode no stem are refused', () => {
  for (const path of ['%2f', '%41', '%', '%zz', 'dot.', 'CON', 'a/e\u0301', '_INDEX/x', 'x.BODY.JSON/y']) {
    is(stemAt(path), undefined, path)
  }
})

names('of stems keep their folders and every dot, and never collide with the index', () => {
  equal(
    ['v1.0', 'v1.1', 'a/b.c/d', 'a/CON/x:y', '_index/x', '_INDEX/x', 'a/_index'].map((stem) => partPath(stem, 'body')),
    [
      'v1.0.body.json',
      'v1.1.body.json',
      'a/b.c/d.body.json',
      'a/%43ON/x%3Ay.body.json',
      '%5Findex/x.body.json',
      '%5FINDEX/x.body.json',
      'a/_index.body.json',
    ],
  )
  is(stemAt('%5FINDEX/x'), '_INDEX/x')
  is(runPath('run_x1'), '_index/runs/run_x1.json')
})

names.run()
