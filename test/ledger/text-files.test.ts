import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { isTextPath } from '../../src/domain/turn/text-file.ts'
import { readStaging } from '../../src/files/staging/staging.ts'
import { stemAt, stemPath } from '../../src/files/workspace/names.ts'
import { defaultConfig } from '../../src/kernel/config.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { temporaryRoot, withLedger } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'
import { stageFile, stageStem, stageTombstone } from '../support/staging.ts'
import { startRuns } from '../support/turns.ts'

const test = suite('plain text files of a turn')
const run_id = 'run_texts_1'
const bounds = defaultConfig.turn_limits
const turnOf = (number: number) => ({ run_id, turn_id: `turn-${String(number).padStart(4, '0')}` })
const texts = ['', '# Report\r\n\nline\n', '\ufeffwith a mark', 'no newline', 'tab\t\u0000\u001b and "quotes" \\ ü 𝄞']

/** A ledger with a run; `apply` promotes a directory as its next turn. */
function onRun(work: (ledger: LocalLedger, current: string, apply: Apply) => Promise<void>): () => Promise<void> {
  return () =>
    withLedger(async (ledger, root) => {
      await startRuns(ledger, [run_id])
      let turn = 0
      const apply: Apply = async (directory, isWorkspace = false) => {
        turn += 1
        await ledger.turns.apply({ ...turnOf(turn), ...(await readStaging(directory, { bounds, isWorkspace })) })
        await ledger.workspaces.files()
        await ledger.workspaces.check({ run_id })
      }
      await work(ledger, join(root, `workspace/run/${run_id}/current`), apply).catch(asPlainError)
    })
}
type Apply = (directory: string, isWorkspace?: boolean) => Promise<void>

test(
  'a text file is promoted as it is, with an identity that follows from its path',
  onRun(async (ledger, current, apply) => {
    const out = temporaryRoot()
    for (const [index, text] of texts.entries()) stageFile(out, `notes/${index}.md`, text)
    stageStem(out, 'page', { links: { see: { type: 'text_file', id: 'notes/1.md' } } })
    await apply(out)
    for (const [index, text] of texts.entries()) {
      equal(readFileSync(join(current, `notes/${index}.md`)), Buffer.from(text))
    }
    is(readdirSync(join(current, 'notes')).length, texts.length, 'and nothing beside it')
    const { body, links, manifest, referenced_by, triplet } = await ledger.workspaces.stem({
      run_id,
      stem: 'notes/1.md',
    })
    equal([body, links, manifest], [{ dto_type: 'text_file', id: 'notes/1.md', text: texts[1] }, {}, {}])
    equal([triplet.dto_type, triplet.id, referenced_by.length], ['text_file', 'notes/1.md', 1])
  }),
)

test(
  'a text file is changed, deleted by its tombstone, and becomes a triplet and a text file again',
  onRun(async (ledger, current, apply) => {
    const staged = (work: (out: string) => void) => {
      const out = temporaryRoot()
      work(out)
      return apply(out)
    }
    await staged((out) => stageFile(out, 'r.txt', 'one'))
    await staged((out) => stageFile(out, 'r.txt', 'two'))
    is(readFileSync(join(current, 'r.txt'), 'utf8'), 'two')
    await staged((out) => stageStem(out, 'r.txt', { body: { dto_type: 'text_file', id: 'r.txt', text: 'x', more: 1 } }))
    equal([existsSync(join(current, 'r.txt')), existsSync(join(current, 'r.txt.body.json'))], [false, true])
    await staged((out) => stageFile(out, 'r.txt', 'three'))
    equal([existsSync(join(current, 'r.txt')), existsSync(join(current, 'r.txt.body.json'))], [true, false])
    await staged((out) => stageTombstone(out, 'r.txt', 'turn-0005', { dto_type: 'text_file', id: 'r.txt' }))
    is(existsSync(join(current, 'r.txt')), false)
    await ledger.workspaces.check({ rebuild: true, run_id })
  }),
)

test(
  'a tree with text files is imported as it was',
  onRun(async (ledger, current, apply) => {
    const out = temporaryRoot()
    const long = `${'x'.repeat(220)}.md`
    for (const path of ['a.md', 'CON.txt', 'odd%20:name.csv', long]) stageFile(out, path, path)
    await apply(out)
    // No directory can have a file and a folder of one name, but a workspace can.
    await ledger.turns.apply({ ...turnOf(2), triplets: [{ stem: 'a.md/below', body: { v: 1 } }] })
    await ledger.workspaces.files()
    await ledger.workspaces.check({ run_id })
    const stems = async (of: string) => {
      const found: string[] = []
      for await (const { body_digest, stem } of ledger.workspaces.triplets({ run_id: of }))
        found.push(stem, body_digest)
      return found
    }
    await startRuns(ledger, ['run_texts_2'])
    const proposal = await readStaging(realpathSync(current), { bounds, isWorkspace: true })
    await ledger.turns.apply({ run_id: 'run_texts_2', turn_id: 'turn-0001', ...proposal })
    equal(await stems('run_texts_2'), await stems(run_id))
  }),
)

test('a file with another ending, and one that is not UTF-8, is an issue', async () => {
  const out = temporaryRoot()
  stageFile(out, 'bad.md', new Uint8Array([0x61, 0xff]))
  for (const name of ['page.body.jsn', 'image.png', '.md', 'report.md~', 'noend']) stageFile(out, name, 'x')
  const { issues, triplets } = await readStaging(out, { bounds })
  equal(
    issues.map(({ code, location }) => `${code} ${location}`),
    [
      'E_STAGING_FILE_INVALID .md',
      'E_JSON_INVALID bad.md',
      'E_STAGING_FILE_INVALID image.png',
      'E_STAGING_FILE_INVALID noend',
      'E_STAGING_FILE_INVALID page.body.jsn',
      'E_STAGING_FILE_INVALID report.md~',
    ],
  )
  equal(triplets, [])
})

test('a text file and a triplet of the same stem collide', async () => {
  const out = temporaryRoot()
  stageFile(out, 'report.md', 'x')
  stageStem(out, 'report.md', {})
  stageStem(out, 'report', {})
  stageFile(out, 'Report.md', 'x')
  const { issues } = await readStaging(out, { bounds })
  equal(
    issues.map(({ code, location }) => `${code} ${location}`),
    ['E_STEM_COLLISION report.md', 'E_STEM_COLLISION report.md'],
  )
})

test(
  'of a directory, only text files that the turn holds are consumed',
  onRun(async (ledger, _, apply) => {
    const out = temporaryRoot()
    stageFile(out, 'a.md', 'a')
    stageFile(out, 'b.md', 'b')
    await apply(out)
    stageFile(out, 'b.md', 'changed')
    equal(await ledger.staging.consume({ ...turnOf(1), directory: out }), { bytes: 1, files: 1 })
    equal(readdirSync(out), ['b.md'])
  }),
)

test(
  'a text that is too long for an object is refused',
  onRun(async (ledger) => {
    const out = temporaryRoot()
    stageFile(out, 'long.txt', '\u0001'.repeat(300_000))
    const proposal = await readStaging(out, { bounds })
    const refused = await ledger.turns.stage({ ...turnOf(1), ...proposal }).catch(({ code }) => code)
    is(refused, 'LIMIT_EXCEEDED')
  }),
)

test('no folder of a workspace has the name of a text file', () => {
  for (const stem of ['a.md/b', 'x/A.MD/y.txt', 'a.txt/b.md/c']) {
    const folders = stemPath(stem).split('/').slice(0, -1)
    equal(folders.filter(isTextPath), [])
    is(stemAt(stemPath(stem)), stem)
  }
})

test('_base.json states what the stems of a directory are based on', async () => {
  const out = temporaryRoot()
  const digest = 'ab'.repeat(32)
  stageStem(out, 'a', {})
  stageFile(out, 'b.md', 'text')
  stageStem(out, 'c', {})
  stageTombstone(out, 'd', 'turn-0002')
  stageFile(out, '_base.json', { a: digest, 'b.md': null, d: digest })
  const { issues, tombstones, triplets } = await readStaging(out, { bounds })
  equal(issues, [])
  equal(
    triplets.map(({ base_digest, stem }) => [stem, base_digest]),
    [
      ['a', digest],
      ['b.md', null],
      ['c', undefined],
    ],
  )
  equal(
    tombstones.map((one) => (one as { base_digest?: unknown }).base_digest),
    [digest],
  )
  stageFile(out, '_base.json', { a: 'x', none: null })
  equal(
    (await readStaging(out, { bounds })).issues.map(({ code, location }) => `${code} ${location}`),
    ['E_STAGING_FILE_INVALID _base.json/a', 'E_STAGING_FILE_INVALID _base.json/none'],
  )
  stageFile(out, '_base.json', '[]')
  is((await readStaging(out, { bounds })).issues[0]?.code, 'E_JSON_INVALID')
})

test.run()
