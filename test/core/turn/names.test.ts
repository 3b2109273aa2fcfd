import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { turnIdOf, turnNumberOf } from '../../../src/domain/run/turns.ts'
import { errorIssue, notice, sortedIssues } from '../../../src/domain/turn/issue.ts'
import { byBytes, foldOf, wrongWithStem } from '../../../src/domain/turn/stem.ts'
import { identityKey, sourceKey } from '../../../src/domain/turn/workspace.ts'

const test = suite('names of turns and stems')

test('a turn_id is turn- and a number of four digits or more, without surplus zeros', () => {
  const good: [string, number][] = [
    ['turn-0001', 1],
    ['turn-0010', 10],
    ['turn-9999', 9999],
    ['turn-10000', 10000],
    ['turn-123456', 123456],
  ]
  for (const [turnId, number] of good) {
    assert.is(turnNumberOf(turnId), number)
    assert.is(turnIdOf(number), turnId)
  }
  const bad = [
    'turn-0000',
    'turn-1',
    'turn-00001',
    'turn-09999',
    'turn-010000',
    ' turn-0001',
    'turn-0001\n',
    'Turn-0001',
    'turn-０００１',
    'turn-',
    'turn--001',
    'turn-1e03',
    `turn-1${'0'.repeat(20)}`,
  ]
  for (const turnId of bad) assert.is(turnNumberOf(turnId), undefined, turnId)
})

test('a stem is refused for what a folder or a suffix would make of it, and taken as it is otherwise', () => {
  const good = [
    'a',
    'v1.0',
    'v1.1',
    'a/b.c/d',
    '...',
    '.a',
    'a.body',
    'a.json',
    'x_index',
    'a/_index',
    'é',
    '😀',
    ' a ',
    'x'.repeat(512),
  ]
  for (const stem of good) assert.is(wrongWithStem(stem), undefined, stem)
  const bad = [
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    './a',
    'a/..',
    'a/../b',
    'a\\b',
    'a\0',
    'a\nb',
    'a\u0085',
    '\ud800',
    'x'.repeat(513),
    'é'.repeat(257),
    'a.body.json',
    'a.links.json/b',
    'a/b.manifest.json',
    'x.tombstone.json',
    '_index',
    '_index/a',
    7,
    null,
    undefined,
  ]
  for (const stem of bad) assert.type(wrongWithStem(stem), 'string', String(stem))
})

test('stems stand in the order of their UTF-8 bytes', () => {
  const stems = ['\uffff', '😀', '\ue000', 'é', 'z', 'a/b', 'a', 'a-b', 'A', 'a😀', 'a\uffee']
  const byBuffer = [...stems].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
  assert.equal([...stems].sort(byBytes), byBuffer)
})

test('stems that differ only in case have one fold, which is its own', () => {
  const same = [
    ['ΑΣ', 'ας', 'ασ'],
    ['STRASSE', 'straße', 'STRAẞE'],
    ['\u212a', 'k', 'K'],
    ['ǰ', 'J\u030c'],
  ]
  for (const stems of same) assert.is(new Set(stems.map(foldOf)).size, 1, stems.join(' '))
  assert.is(new Set(['kız', 'kiz', 'é', 'e', 'a/b', 'a'].map(foldOf)).size, 6)
  for (let code = 0; code < 0x110000; code += 1) {
    if (code === 0xd800) code = 0xe000
    const character = String.fromCodePoint(code)
    const fold = foldOf(character)
    if (foldOf(fold) !== fold || foldOf(character.toLowerCase()) !== fold)
      throw new Error(`${code.toString(16)}: ${fold}`)
  }
})

test('issues have one order: stage, location, code, details', () => {
  const at = (stage: 'lsi' | 'stage', location: string, stem = 'x') =>
    errorIssue('E_LSI_ORPHAN_TARGET', { stage, location, message: 'm', details: { stem } })
  const all = [
    notice('I_NOOP_PROMOTION', 'promotion', {}),
    at('lsi', '/b'),
    at('lsi', '/a', 'y'),
    at('lsi', '/a'),
    at('stage', '/z'),
  ]
  const inOrder = sortedIssues(all)
  assert.equal(
    inOrder.map(({ details, location, stage }) => `${stage} ${location} ${details.stem ?? ''}`),
    ['stage /z x', 'lsi /a x', 'lsi /a y', 'lsi /b x', 'promotion  '],
  )
  assert.equal(sortedIssues(all.toReversed()), inOrder)
  const cut = errorIssue('E_STEM_INVALID', { stage: 'stage', location: `${'/'.padEnd(4_095, 'x')}😀`, message: 'm' })
  assert.is(cut.location.length, 4_095, 'never through a character')
})

test('no two pairs have one key, whatever stands in them', () => {
  const texts = ['', 'a', 'a\0', '\0a', 'a\u0001', '\u0001', '\u0001\u0001', '\0', 'a:b', 'b']
  const keys = new Set<string>()
  for (const type of texts) for (const id of texts) keys.add(identityKey('run/x', { type, id }))
  for (const type of texts)
    for (const id of texts) keys.add(sourceKey('run/x', { type, id }, { stem: 's', location: '/links/a' }))
  assert.is(keys.size, 2 * texts.length ** 2)
})

test.run()
