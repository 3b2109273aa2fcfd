import { hash } from 'node:crypto'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { randomFrom } from '../../fixtures/random.ts'
import { fileName, partPath, refPath, runPath, textOfName } from '../../src/fs/workspace-names.ts'
import { printedSeed } from '../support/seed.ts'

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
  ]
  for (const [text, name] of rows) {
    is(fileName(text), name)
    is(textOfName(name), text)
  }
})

names('are read back to the text they stand for, each from its own', () => {
  const random = randomFrom(printedSeed('workspace names'))
  const parts = ['a', 'B', '%', '/', '\\', '.', ' ', ':', 'é', '😀', '\n', '\u007f', 'CON', 'h', '2F']
  const seen = new Map<string, string>()
  for (let round = 0; round < 5_000; round += 1) {
    const text = Array.from(
      { length: 1 + Math.floor(random() * 6) },
      () => parts[Math.floor(random() * parts.length)],
    ).join('')
    const name = fileName(text)
    is(textOfName(name), text, JSON.stringify(text))
    is(seen.get(name) ?? text, text, `${name} stands for two`)
    seen.set(name, text)
    ok(!/[\p{Cc}/\\]/u.test(name) && name !== '.' && name !== '..')
  }
})

names('of more than 200 bytes are a hash, which is not read back', () => {
  const long = 'é'.repeat(101)
  is(fileName('e'.repeat(200)), 'e'.repeat(200))
  is(fileName(long), `%h${hash('sha256', long, 'hex')}`)
  is(textOfName(fileName(long)), undefined)
  match(fileName('/'.repeat(67)), /^%h[0-9a-f]{64}$/)
  is(fileName(''), `%h${hash('sha256', '', 'hex')}`)
})

names('are not those of others: what no text is named stands for none', () => {
  for (const name of ['a/b', '%2f', '%41', '%', '%zz', 'dot.', 'CON']) is(textOfName(name), undefined, name)
})

names('of stems keep their folders and every dot, and leave the index alone', () => {
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
  is(refPath({ id: 'p/1', type: 'page:x' }), '_index/refs/by_id/page%3Ax/p%2F1.json')
  is(runPath('run_x1'), '_index/runs/run_x1.json')
})

names.run()
