import { spawnSync } from 'node:child_process'
import { chmodSync, linkSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, not, ok } from 'uvu/assert'
import { readStaging, type StagingProposal } from '../../src/files/staging/staging.ts'
import type { StagingRead } from '../../src/files/staging/staging-files.ts'
import { hashedStemPath, stemPath } from '../../src/files/workspace/names.ts'
import { defaultConfig } from '../../src/kernel/config.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { stageFile, stageStem, stageTombstone } from '../support/staging.ts'

const staging = suite('a staging directory')
const bounds = defaultConfig.turn_limits
const secret = '{"dto_type":"secret","id":"outside"}'

const read = (directory: string, options: Partial<StagingRead> = {}) => readStaging(directory, { bounds, ...options })
const issuesOf = ({ issues }: StagingProposal) => issues.map(({ code, location }) => `${code} ${location}`)
const stemsOf = ({ triplets }: StagingProposal) => triplets.map(({ stem }) => stem).sort()

/** A directory with one good triplet, beside a folder with what must not be read. */
function place(): { directory: string; outside: string } {
  const root = temporaryRoot()
  const [directory, outside] = [join(root, 'staging'), join(root, 'outside')]
  stageStem(directory, 'good', { body: { dto_type: 'page', id: '1' } })
  for (const part of ['body', 'links', 'manifest']) stageFile(outside, `x.${part}.json`, secret)
  return { directory, outside }
}

/** Another way to a folder: the path of a socket may have 107 bytes only. */
function shortOf(directory: string): string {
  const link = join(mkdtempSync('/tmp/s-'), 'd')
  symlinkSync(directory, link)
  process.once('exit', () => rmSync(dirname(link), { recursive: true }))
  return link
}

/** Bodies of one content, which are links to one file: that is ten times faster than as many files. */
function stageMany(directory: string, { body, count }: { body: string; count: number }): void {
  const one = stageFile(temporaryRoot(), 'body.json', body)
  mkdirSync(directory, { recursive: true })
  for (let stem = 0; stem < count; stem += 1) linkSync(one, join(directory, `x${stem}.body.json`))
}

staging('that is missing or empty is an empty proposal', async () => {
  const root = temporaryRoot()
  const nothing = { issues: [], tombstones: [], triplets: [] }
  equal(await read(join(root, 'missing')), nothing)
  equal(await read(root), nothing)
  mkdirSync(join(root, 'a/b'), { recursive: true })
  equal(await read(root), nothing)
})

staging('is read at any depth, every stem exactly as its file is named', async () => {
  const directory = temporaryRoot()
  const stems = ['v1.0', 'v1.1', 'a/b.c/d', '.hidden', 'ä ö', 'x.body', 'a', 'A.json']
  for (const [index, stem] of stems.entries())
    stageStem(directory, stem, { body: { dto_type: 'page', id: `${index}` } })
  stageTombstone(directory, 'gone/v1.0', 'turn-0002')
  const proposal = await read(directory)
  equal(proposal.issues, [])
  equal(stemsOf(proposal), stems.toSorted())
  is(proposal.triplets.find(({ stem }) => stem === 'v1.1')?.body.text, '{"dto_type":"page","id":"1"}')
  equal(
    { ...proposal.tombstones[0] },
    {
      kind: 'tombstone',
      stem: 'gone/v1.0',
      dto_type: 'page',
      id: 'gone/v1.0',
      deleted_by_turn_id: 'turn-0002',
    },
  )
})

type Hostile = (directory: string, outside: string) => void | (() => void) | Promise<() => void>
const bodyOf = (content: string | Uint8Array) => (directory: string) =>
  stageStem(directory, 'bad', { body: null }) ?? void stageFile(directory, 'bad.body.json', content)
const badJson = (pointer = '') => [`E_JSON_INVALID bad.body.json${pointer}`]

/** Each of these beside a good triplet: what is said, in this order, and of nothing else. */
const cells: [what: string, make: Hostile, issues: string[]][] = [
  [
    'a link to a file outside',
    (directory, outside) => {
      stageStem(directory, 'bad', { body: null })
      symlinkSync(join(outside, 'x.body.json'), join(directory, 'bad.body.json'))
    },
    ['E_STAGING_FILE_INVALID bad.body.json'],
  ],
  [
    'a link to a file inside',
    (directory) => symlinkSync('good.body.json', join(directory, 'bad.body.json')),
    ['E_TRIPLET_INCOMPLETE bad', 'E_STAGING_FILE_INVALID bad.body.json'],
  ],
  [
    'a link to a folder outside',
    (directory, outside) => symlinkSync(outside, join(directory, 'bad')),
    ['E_STAGING_FILE_INVALID bad'],
  ],
  [
    'a link to the folder above',
    (directory) => symlinkSync('..', join(directory, 'bad')),
    ['E_STAGING_FILE_INVALID bad'],
  ],
  ['a link to nowhere', (directory) => symlinkSync('/nowhere', join(directory, 'bad')), ['E_STAGING_FILE_INVALID bad']],
  [
    'a named pipe',
    (directory) => {
      stageStem(directory, 'bad', { links: null })
      is(spawnSync('mkfifo', [join(directory, 'bad.links.json')]).status, 0)
    },
    ['E_STAGING_FILE_INVALID bad.links.json'],
  ],
  [
    'a socket',
    async (directory) => {
      const server = createServer().listen(join(shortOf(directory), 'bad.body.json'))
      await new Promise((resolve) => server.once('listening', resolve))
      return () => server.close()
    },
    ['E_TRIPLET_INCOMPLETE bad', 'E_STAGING_FILE_INVALID bad.body.json'],
  ],
  ['a folder named as a file', (directory) => mkdirSync(join(directory, 'good2.body.json')), []],
  [
    'a stem below a folder named as a file',
    (directory) => stageStem(directory, 'bad.body.json/x'),
    ['E_STEM_INVALID bad.body.json/x'],
  ],
  [
    'a file of no triplet',
    (directory) => stageFile(directory, 'notes.png', 'x') && undefined,
    ['E_STAGING_FILE_INVALID notes.png'],
  ],
  [
    'a file without a stem',
    (directory) => stageFile(directory, 'a/.body.json', '{}') && undefined,
    ['E_STEM_INVALID a/', 'E_TRIPLET_INCOMPLETE a/'],
  ],
  ['a stem of dots', (directory) => stageStem(directory, 'a/..'), ['E_STEM_INVALID a/..']],
  ['a stem of the index', (directory) => stageStem(directory, '_index/x'), ['E_STEM_INVALID _index/x']],
  ['a stem with a backslash', (directory) => stageStem(directory, 'a\\b'), ['E_STEM_INVALID a\\b']],
  ['a stem with a line feed', (directory) => stageStem(directory, 'a\nb'), ['E_STEM_INVALID a\nb']],
  [
    'a name that is not UTF-8',
    (directory) =>
      writeFileSync(
        Buffer.concat([Buffer.from(`${directory}/`), Buffer.from([0xff, 0x2e]), Buffer.from('body.json')]),
        '{}',
      ),
    ['E_TRIPLET_INCOMPLETE \ufffd', 'E_STAGING_FILE_INVALID \ufffd.body.json'],
  ],
  [
    'case twins',
    (directory) => {
      stageStem(directory, 'a/Bad')
      stageStem(directory, 'A/bad')
    },
    ['E_STEM_COLLISION a/Bad'],
  ],
  [
    'a tombstone that makes room for its case twin',
    (directory) => {
      stageStem(directory, 'bad')
      stageTombstone(directory, 'BAD', 'turn-0001')
    },
    [],
  ],
  [
    'two thirds of a triplet',
    (directory) => stageStem(directory, 'bad', { links: null }),
    ['E_TRIPLET_INCOMPLETE bad'],
  ],
  [
    'a tombstone of another stem',
    (directory) =>
      stageFile(directory, 'bad.tombstone.json', {
        kind: 'tombstone',
        stem: 'good',
        dto_type: 'page',
        id: '1',
        deleted_by_turn_id: 'turn-0001',
      }) && undefined,
    ['E_TOMBSTONE_STEM_MISMATCH bad.tombstone.json'],
  ],
  ['an object of 2 MiB', bodyOf(`{"a":"${'x'.repeat(2 ** 21)}"}`), ['LIMIT_EXCEEDED bad.body.json']],
  ['an empty file', bodyOf(''), badJson()],
  ['cut JSON', bodyOf('{"a":1'), badJson()],
  ['JSON that goes on', bodyOf('{}{}'), badJson()],
  ['an array', bodyOf('[]'), badJson()],
  ['a float', bodyOf('{"a":1.5}'), badJson('/a')],
  ['1.0', bodyOf('{"a":1.0}'), badJson('/a')],
  ['1e3', bodyOf('{"a":{"b":1e3}}'), badJson('/a/b')],
  ['-0', bodyOf('{"a":[-0]}'), badJson('/a/0')],
  ['2^53', bodyOf('{"a":9007199254740992}'), badJson('/a')],
  ['a member twice', bodyOf('{"a":1,"a":1}'), badJson('/a')],
  ['a member twice, once escaped', bodyOf('{"a":1,"\\u0061":1}'), badJson('/a')],
  ['a lone surrogate', bodyOf('{"a":"\\ud800"}'), badJson('/a')],
  [
    'a lone surrogate in UTF-8',
    bodyOf(Buffer.from([0x7b, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x7d])),
    badJson(),
  ],
  ['invalid UTF-8', bodyOf(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), badJson()],
  ['a byte order mark', bodyOf('\ufeff{}'), badJson()],
  ['nesting without end', bodyOf(`{"a":${'['.repeat(100_000)}`), badJson(`/a${'/0'.repeat(64)}`)],
]

for (const [what, make, issues] of cells) {
  staging(`with ${what} is reported, and nothing outside is read`, async () => {
    const { directory, outside } = place()
    const undo = await make(directory, outside)
    for (const byDescriptor of [true, false]) {
      const proposal = await read(directory, { byDescriptor })
      equal(issuesOf(proposal), issues)
      for (const issue of proposal.issues) is(issue.stage, 'stage')
      ok(stemsOf(proposal).includes('good'), 'what is good is read')
      not.match(JSON.stringify(proposal), 'outside')
    }
    undo?.()
  })
}

staging('without read permission is an issue for each file', async () => {
  if (process.getuid?.() === 0) return console.log('root reads everything: nothing is forbidden here')
  const { directory } = place()
  stageStem(directory, 'bad')
  chmodSync(join(directory, 'bad.links.json'), 0)
  equal(issuesOf(await read(directory)), ['E_STAGING_FILE_INVALID bad.links.json'])
})

staging('that is itself a link, or a file, is an issue, and is not followed', async () => {
  const { directory, outside } = place()
  symlinkSync(outside, `${directory}-link`)
  writeFileSync(`${directory}-file`, '{}')
  for (const path of [`${directory}-link`, `${directory}-file`]) {
    const proposal = await read(path)
    equal([issuesOf(proposal), proposal.triplets], [['E_STAGING_FILE_INVALID '], []])
  }
})

staging('with too many stems, names or bytes gives that one issue before the rest is read', async () => {
  const directory = temporaryRoot()
  for (let stem = 0; stem < 6; stem += 1) stageStem(directory, `s${stem}`, { body: { text: 'x'.repeat(100) } })
  const few = (changes: Partial<typeof bounds>) => read(directory, { bounds: { ...bounds, ...changes } })
  const told = (proposal: StagingProposal) =>
    proposal.issues.map(({ code, location, message }) => [code, location, message])
  const past = (what: string) => [['LIMIT_EXCEEDED', '', `the directory has more than ${what}`]]
  equal(told(await few({ stems: 5 })), past('5 stems'))
  equal(told(await few({ turn_bytes: 300 })), past('300 bytes of all files'))
  for (let name = 0; name < 40; name += 1) stageFile(directory, `other${name}`, '')
  const names = await few({ stems: 6 })
  equal(told(names), past('30 names in the directory'))
  equal([names.triplets, names.tombstones], [[], []])
})

staging('with 10,001 stems is refused before any of its files is read', async () => {
  const directory = temporaryRoot()
  stageMany(directory, { count: 10_001, body: '' })
  equal(
    (await read(directory)).issues.map(({ code, message }) => `${code} ${message}`),
    ['LIMIT_EXCEEDED the directory has more than 10000 stems'],
  )
})

staging('is read as deep as a stem can be, and no deeper', async () => {
  const { directory } = place()
  const deep = Array.from({ length: 256 }, () => 'd').join('/')
  stageStem(directory, deep)
  for (const byDescriptor of [true, false]) {
    equal(stemsOf(await read(directory, { byDescriptor })), [deep, 'good'])
  }
  stageStem(directory, `${deep}/d/x`)
  equal(issuesOf(await read(directory)), [`E_STAGING_FILE_INVALID ${deep}/d`])
})

for (const byDescriptor of [true, false]) {
  const how = byDescriptor ? 'by its descriptor' : 'by its path'
  staging(`whose folder is replaced by a link while it is read ${how} gives nothing from outside`, async () => {
    const { directory, outside } = place()
    stageMany(join(directory, 'folder'), { count: 3_000, body: '{}' })
    stageMany(outside, { count: 3_000, body: secret })
    let swaps = 0
    const onProgress = ({ read: files }: { read: number }) => {
      // In the middle of the folder, once: the name by which it was found leads elsewhere from here on.
      if (files < 100 || swaps > 0) return
      swaps += 1
      renameSync(join(directory, 'folder'), join(directory, '../moved'))
      symlinkSync(outside, join(directory, 'folder'))
    }
    const proposal = await read(directory, { byDescriptor, onProgress })
    is(swaps, 1)
    not.match(JSON.stringify(proposal), 'outside')
    if (!byDescriptor) ok(proposal.issues.some(({ details }) => details.kind === 'was moved during the read'))
  })
}

staging('whose files vanish or are replaced while it is read reports each of them', async () => {
  const { directory, outside } = place()
  stageMany(directory, { count: 3_000, body: '{}' })
  const pathOf = (name: string) => join(directory, `${name}.body.json`)
  let isChanged = false
  const onProgress = () => {
    if (isChanged) return
    isChanged = true
    for (const name of ['x996', 'x997', 'x998', 'x999']) rmSync(pathOf(name))
    symlinkSync(join(outside, 'x.body.json'), pathOf('x997'))
    is(spawnSync('mkfifo', [pathOf('x998')]).status, 0)
    mkdirSync(pathOf('x999'))
  }
  const { issues, triplets } = await read(directory, { onProgress })
  ok(isChanged)
  equal(
    issues
      .filter(({ code }) => code === 'E_STAGING_FILE_INVALID')
      .map(({ location, message }) => `${location} ${message}`),
    [
      'x996.body.json it was removed during the read',
      'x997.body.json it is a symbolic link',
      'x998.body.json it is a named pipe',
      'x999.body.json it is a folder',
    ],
  )
  equal(
    triplets.map(({ stem }) => stem),
    ['good'],
  )
})

staging('gives the same issues in the same order, whatever the order of its names', async () => {
  const names = ['b/x.body.json', 'a.txt', 'B/x.body.json', 'z.links.json', 'é.tombstone.json']
  const orders = [names, names.toReversed()].map((order) => {
    const directory = temporaryRoot()
    for (const name of order) stageFile(directory, name, '[1.5]')
    return directory
  })
  const [one, other] = await Promise.all(orders.map(async (directory) => JSON.stringify(await read(directory))))
  is(one, other)
  match(one ?? '', 'E_STEM_COLLISION')
  for (const directory of orders) rmSync(directory, { recursive: true })
})

staging('that is a workspace tree is read back without its index, and its names become stems again', async () => {
  const { directory } = place()
  const long = `${'x'.repeat(201)}/y`
  for (const stem of ['a/b', 'CON/a:b.', '100%', '_INDEX/x', long]) stageStem(directory, stemPath(stem))
  stageFile(directory, '_index/runs/run_x.json', '{}')
  stageFile(directory, hashedStemPath(long) ?? '', { stem: long, version: 'v1' })
  const proposal = await read(directory, { isWorkspace: true })
  equal([issuesOf(proposal), stemsOf(proposal)], [[], ['100%', 'CON/a:b.', '_INDEX/x', 'a/b', 'good', long]])
  equal(
    (await read(directory)).issues
      .map(({ location }) => location)
      .filter((location) => !location.startsWith('_index/stems')),
    ['_index/runs/run_x.json'],
    'and taken literally otherwise',
  )
})

staging('that is a workspace tree with a name of no stem is refused, and its index is not trusted', async () => {
  const { directory, outside } = place()
  const long = 'x'.repeat(201)
  for (const name of ['50%', 'CON', stemPath(long)]) stageStem(directory, name, { links: null, manifest: null })
  stageFile(directory, '_index/stems/other.json', { stem: 'good' })
  stageFile(directory, '_index/stems/broken.json', '{')
  stageFile(outside, 'link.json', { stem: long })
  symlinkSync(join(outside, 'link.json'), join(directory, '_index/stems/link.json'))
  equal(
    issuesOf(await read(directory, { isWorkspace: true })),
    [stemPath(long), '50%', 'CON'].map((name) => `E_STAGING_FILE_INVALID ${name}.body.json`),
  )
})

staging.run()
