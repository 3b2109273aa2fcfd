import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import type { LockstepError } from '../../src/errors.ts'
import type { TreeChange } from '../../src/files/workspace/build.ts'
import { currentTree, dropLeftovers, switchTree } from '../../src/files/workspace/tree.ts'
import { temporaryRoot } from '../support/ledger.ts'

const trees = suite('the trees of a workspace')

const changesOf = (files: Record<string, string | null>): TreeChange[] =>
  Object.entries(files).map(([path, text]) => ({ path, content: text === null ? null : Buffer.from(text) }))

async function build(
  folder: string,
  seq: number,
  files: Record<string, string | null>,
  isWhole = false,
): Promise<void> {
  await switchTree(folder, { seq, isWhole, changes: changesOf(files) })
}

/** Every file that is seen through `current`, with its text. */
function seen(folder: string): Record<string, string> {
  const root = join(folder, 'current')
  const names = readdirSync(`${root}/`, { recursive: true, encoding: 'utf8' }).sort()
  const files = names.filter((name) => lstatSync(join(root, name)).isFile())
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(root, name), 'utf8')]))
}

const treesIn = (folder: string) => readdirSync(join(folder, '.trees')).sort()

trees('contain the changes, and share all other files with the previous tree', async () => {
  const folder = join(temporaryRoot(), 'workspace', 'run')
  await build(folder, 3, { 'a.json': '1', 'b/c.json': '2' })
  is(readlinkSync(join(folder, 'current')), '.trees/3.0')
  equal(seen(folder), { 'a.json': '1', 'b/c.json': '2' })
  is(statSync(join(folder, 'current/a.json')).mode & 0o777, 0o444)
  const inode = () => statSync(join(folder, 'current/a.json')).ino
  const first = inode()
  await build(folder, 5, { 'b/c.json': null, 'b/d/e.json': '3' })
  equal(seen(folder), { 'a.json': '1', 'b/d/e.json': '3' })
  is(inode(), first)
  await build(folder, 8, { 'a.json': '4' })
  equal(seen(folder), { 'a.json': '4', 'b/d/e.json': '3' })
  await build(folder, 9, { 'b/d/e.json': null })
  equal(seen(folder), { 'a.json': '4' })
  ok(!existsSync(join(folder, 'current/b')), 'folders that are empty go')
  equal(treesIn(folder), ['8.0', '9.0', 'spare.json'])
})

trees('are the same for any order and number of changes', async () => {
  const folder = temporaryRoot()
  const expected: Record<string, string> = {}
  let state = 42
  const random = (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state % below
  }
  for (let seq = 1; seq < 60; seq += 1) {
    const files: Record<string, string | null> = {}
    for (let change = random(6); change >= 0; change -= 1) {
      const path = `${['', 'a/', 'a/b/', 'c/'][random(4)]}${random(5)}.json`
      files[path] = random(3) === 0 ? null : `${seq}`
    }
    for (const [path, text] of Object.entries(files)) {
      if (text === null) delete expected[path]
      else expected[path] = text
    }
    // Now and then the hint about the tree before is lost, and once it is not to be trusted.
    if (random(5) === 0) rmSync(join(folder, '.trees/spare.json'), { force: true })
    if (seq === 30) writeFileSync(join(folder, '.trees/spare.json'), '{"current":"29.0","spare":"28')
    await build(folder, seq, files)
    equal(seen(folder), Object.fromEntries(Object.entries(expected).sort(([one], [other]) => (one < other ? -1 : 1))))
    is(currentTree(folder)?.seq, seq)
  }
})

trees('that are rebuilt contain nothing of the previous tree', async () => {
  const folder = temporaryRoot()
  await build(folder, 3, { 'a.json': '1', 'b.json': '2' })
  await build(folder, 3, { 'a.json': '1' }, true)
  equal(seen(folder), { 'a.json': '1' })
  equal(treesIn(folder), ['3.1'])
  is(readlinkSync(join(folder, 'current')), '.trees/3.1')
})

trees('left by a crash are removed, but not the current tree and its spare', async () => {
  const folder = temporaryRoot()
  await build(folder, 1, { 'a.json': '1' })
  await build(folder, 2, { 'a.json': '2' })
  for (const left of ['building', '7.0']) {
    mkdirSync(join(folder, '.trees', left))
    writeFileSync(join(folder, '.trees', left, 'a.json'), 'half')
  }
  symlinkSync('.trees/7.0', join(folder, 'current.tmp'))
  writeFileSync(join(folder, '.trees/somebody.txt'), 'not ours')
  await dropLeftovers(folder)
  equal(treesIn(folder), ['1.0', '2.0', 'somebody.txt', 'spare.json'])
  equal(readdirSync(folder).sort(), ['.trees', 'current'])
  equal(seen(folder), { 'a.json': '2' })
})

trees('stay if the link to the current tree is gone, until a new tree is current', async () => {
  const folder = temporaryRoot()
  await build(folder, 1, { 'a.json': '1' })
  rmSync(join(folder, 'current'))
  await dropLeftovers(folder)
  equal(treesIn(folder), ['1.0'])
  is(currentTree(folder), undefined)
  await build(folder, 2, { 'a.json': '2' })
  equal(treesIn(folder), ['2.0'])
})

trees('never replace a folder or a file that somebody put in their place', async () => {
  const folder = temporaryRoot()
  mkdirSync(join(folder, 'current'))
  writeFileSync(join(folder, 'current/mine.txt'), 'mine')
  const refusal = await build(folder, 1, { 'a.json': '1' }).catch((error: LockstepError) => error)
  is(refusal?.code, 'FILE_FAILED')
  match(refusal?.message ?? '', 'not a symbolic link')
  is(readFileSync(join(folder, 'current/mine.txt'), 'utf8'), 'mine')
})

trees('are neither written nor removed through a link that somebody put in place of their folder', async () => {
  const [folder, outside] = [temporaryRoot(), temporaryRoot()]
  await build(folder, 1, { 'a.json': '1' })
  renameSync(join(folder, '.trees'), join(outside, 'moved'))
  mkdirSync(join(outside, 'moved/2.0'))
  for (const target of [join(outside, 'moved'), join(outside, 'nowhere')]) {
    symlinkSync(target, join(folder, '.trees'))
    for (const work of [build(folder, 3, { 'a.json': '3' }), dropLeftovers(folder)]) {
      const refusal = await work.catch((error: LockstepError) => error)
      match(refusal?.message ?? '', '.trees is not a folder')
    }
    rmSync(join(folder, '.trees'))
  }
  equal(readdirSync(join(outside, 'moved')).sort(), ['1.0', '2.0'])
  await build(folder, 3, { 'a.json': '3' }, true)
  equal(seen(folder), { 'a.json': '3' })
})

trees('never lead outside: a link in place of a folder is not followed', async () => {
  const outside = temporaryRoot()
  writeFileSync(join(outside, 'x.json'), 'outside')
  const folder = temporaryRoot()
  await build(folder, 1, { 'a/x.json': '1' })
  await build(folder, 2, { 'a/x.json': '2' })
  rmSync(join(folder, '.trees/1.0/a'), { recursive: true })
  symlinkSync(outside, join(folder, '.trees/1.0/a'))
  const refusal = await build(folder, 3, { 'a/x.json': '3' }).catch((error: LockstepError) => error)
  is(refusal?.code, 'FILE_FAILED')
  is(readFileSync(join(outside, 'x.json'), 'utf8'), 'outside')
  equal(seen(folder), { 'a/x.json': '2' }, 'what is current stays')
  await build(folder, 3, { 'a/x.json': '3' })
  equal(seen(folder), { 'a/x.json': '3' }, 'and the next build does without the spoilt one')
})

trees('that cannot be written leave the current tree, and are written once they can be', async () => {
  const folder = temporaryRoot()
  await build(folder, 1, { 'a.json': '1' })
  const broken = async function* () {
    yield { path: 'a.json', content: Buffer.from('2') }
    throw new Error('the ledger is gone')
  }
  const refusal = await switchTree(folder, { seq: 2, isWhole: false, changes: broken() }).catch((error) => error)
  match(String(refusal.message), 'the ledger is gone')
  equal(seen(folder), { 'a.json': '1' })
  await build(folder, 2, { 'a.json': '2' })
  equal(seen(folder), { 'a.json': '2' })
  equal(treesIn(folder), ['1.0', '2.0', 'spare.json'])
})

trees('are rebuilt if a crash left the same tree before it became current', async () => {
  const folder = join(temporaryRoot(), 'workspace', 'run')
  await build(folder, 3, { 'a.json': '1' })
  rmSync(join(folder, 'current'))
  await build(folder, 3, { 'a.json': '1' }, true)
  is(readlinkSync(join(folder, 'current')), '.trees/3.1')
  equal(treesIn(folder), ['3.1'])
  equal(seen(folder), { 'a.json': '1' })
})

trees.run()
