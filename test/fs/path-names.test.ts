import { execFileSync } from 'node:child_process'
import { mkdirSync, realpathSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, throws } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import { namedPaths } from '../../src/files/paths/path-names.ts'
import { temporaryRoot } from '../support/ledger.ts'

const naming = suite('the names of paths')

/** A root with a ledger's folder and some files. */
function tree(...files: string[]): string {
  const root = realpathSync(temporaryRoot())
  mkdirSync(join(root, '.lockstep'))
  for (const file of files) put(join(root, file))
  return root
}

function put(file: string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, '')
}

function names(root: string, texts: string[], more: { ignoresCase?: boolean; isSeen?: boolean } = {}): string[] {
  return namedPaths(texts, { ignoresCase: false, isSeen: true, root, ...more }).paths
}

function refusedWith(code: string, work: () => unknown): void {
  throws(work, (error: unknown) => error instanceof LockstepError && error.code === code)
}

function git(folder: string, ...words: string[]): void {
  const identity = ['-c', 'user.name=a', '-c', 'user.email=a@b.example']
  execFileSync('git', [...identity, '-C', folder, ...words], { stdio: 'ignore' })
}

naming('are the same however a path is written', () => {
  const root = tree('src/a.js')
  for (const text of ['src/a.js', './src/a.js', 'src//a.js', 'src/./a.js', 'src/../src/a.js', `${root}/src/a.js`]) {
    equal(names(root, [text]), ['src/a.js'])
  }
  for (const text of ['src', 'src/', './src', 'src/.', 'src/b/..', `${root}/src`]) equal(names(root, [text]), ['src/'])
  for (const text of ['.', './', root, `${root}/`, 'src/..']) equal(names(root, [text]), ['./'])
})

naming('of what does not exist yet are those of a file, or of a subtree with a slash at the end', () => {
  const root = tree()
  equal(names(root, ['new/a.js', 'new/b/']), ['new/a.js', 'new/b/'])
  put(join(root, 'new/b/c.js'))
  equal(names(root, ['new/b']), ['new/b/'])
})

naming('come in order, each once, without those that a subtree covers', () => {
  const root = tree('src/a.js', 'lib/z.js')
  equal(names(root, ['src/a.js', 'lib/z.js', 'src/a.js', 'src']), ['lib/z.js', 'src/'])
  equal(names(root, ['src.js', 'src/']), ['src.js', 'src/'])
  equal(names(root, ['./', 'src/a.js']), ['./'])
})

naming('resolve the links of parents, also with .. behind them', () => {
  const root = tree('real/deep/a.js')
  symlinkSync('real/deep', join(root, 'link'))
  equal(names(root, ['link/a.js']), ['real/deep/a.js'])
  equal(names(root, ['link/new.js']), ['real/deep/new.js'])
  equal(names(root, ['link/../b.js']), ['real/b.js'])
  equal(names(root, ['missing/../link/a.js']), ['real/deep/a.js'])
})

naming('of a link are its own and that of its target, unless the target is elsewhere', () => {
  const root = tree('real/a.js')
  symlinkSync('real/a.js', join(root, 'link.js'))
  equal(names(root, ['link.js']), ['link.js', 'real/a.js'])
  symlinkSync('link.js', join(root, 'second.js'))
  equal(names(root, ['second.js']), ['real/a.js', 'second.js'])
  symlinkSync('real', join(root, 'folder'))
  equal(names(root, ['folder']), ['folder', 'real/'])
  equal(names(root, ['folder/']), ['real/'])
  symlinkSync(join(temporaryRoot(), 'x'), join(root, 'outside.js'))
  equal(names(root, ['outside.js']), ['outside.js'])
  symlinkSync('loop', join(root, 'loop'))
  refusedWith('INVALID_INPUT', () => names(root, ['loop']))
})

naming('are in NFC, and folded only where the disk ignores case', () => {
  const root = tree()
  const [composed, decomposed] = ['\u00e9t\u00e9.js', 'e\u0301te\u0301.js']
  equal(names(root, [composed]), names(root, [decomposed]))
  equal(names(root, ['SRC/A.js']), ['SRC/A.js'])
  equal(
    names(root, ['SRC/STRASSE.js'], { ignoresCase: true }),
    names(root, ['src/stra\u00dfe.js'], { ignoresCase: true }),
  )
})

naming('follow a file that is renamed', () => {
  const root = tree('src/a.js')
  renameSync(join(root, 'src'), join(root, 'lib'))
  equal(names(root, ['lib/a.js']), ['lib/a.js'])
  equal(names(root, ['src/a.js']), ['src/a.js'])
})

naming('are refused outside of the root, in the ledger’s folder, and below another ledger', () => {
  const root = tree()
  for (const text of ['..', '../x', '/', temporaryRoot(), '.lockstep/key', '.LOCKSTEP/key']) {
    refusedWith('LOCK_PLACEMENT', () => names(root, [text]))
  }
  mkdirSync(join(root, 'nested/.lockstep'), { recursive: true })
  refusedWith('LOCK_PLACEMENT', () => names(root, ['nested/a.js']))
})

naming('of a pattern are refused with the subtree to take, unless the file is there', () => {
  const root = tree('what?.md', 'app/[id].tsx')
  for (const [text, subtree] of [
    ['src/**/*.js', 'src/'],
    ['*.js', './'],
    ['src/a?.js', 'src/'],
  ] as const) {
    try {
      names(root, [text])
      throw new Error(`${text} was named`)
    } catch (error) {
      is((error as LockstepError).hint, `Lock the subtree ${subtree} instead.`)
    }
  }
  equal(names(root, ['what?.md', 'app/[id].tsx', 'app/[slug].tsx']), ['app/[id].tsx', 'app/[slug].tsx', 'what?.md'])
})

naming('of a path that is too long are refused with a subtree that is not', () => {
  const root = tree()
  const path = `${'long/'.repeat(60)}a.js`
  try {
    names(root, [path])
    throw new Error('it was named')
  } catch (error) {
    is((error as LockstepError).hint, `Lock a subtree above it, such as ${'long/'.repeat(49)}.`)
  }
})

naming('of a caller on another machine follow from the text alone', () => {
  const root = tree('src/a.js')
  symlinkSync('src', join(root, 'link'))
  const unseen = (text: string) => names(root, [text], { isSeen: false })
  equal(unseen('./src/../link//a.js'), ['link/a.js'])
  equal(unseen('src'), ['src'])
  equal(unseen('src/'), ['src/'])
  equal(unseen('.'), ['./'])
  for (const text of ['../x', 'src/../../x', '/src/a.js']) refusedWith('LOCK_PLACEMENT', () => unseen(text))
  refusedWith('INVALID_INPUT', () => unseen('src/*.js'))
})

naming('in linked worktrees are those of the main one, wherever the worktrees are', () => {
  const root = tree('src/a.js')
  git(root, 'init', '-q')
  git(root, 'add', 'src')
  git(root, 'commit', '-qm', 'one')
  const [beside, inside] = [join(realpathSync(temporaryRoot()), 'beside'), join(root, '.worktrees/inside')]
  for (const top of [beside, inside]) git(root, 'worktree', 'add', '-q', top)
  const place = { ignoresCase: false, isSeen: true, root }
  for (const top of [root, beside, inside]) {
    equal(namedPaths([join(top, 'src/a.js')], place), { paths: ['src/a.js'], worktree: top })
  }
  refusedWith('LOCK_PLACEMENT', () => namedPaths([join(beside, 'src/a.js'), join(root, 'src/b.js')], place))
  refusedWith('LOCK_PLACEMENT', () => namedPaths([join(dirname(beside), 'x')], place))
})

naming('are refused for a folder that only claims to be a worktree', () => {
  const root = tree('src/a.js')
  git(root, 'init', '-q')
  git(root, 'add', 'src')
  git(root, 'commit', '-qm', 'one')
  const [real, claimed] = [join(realpathSync(temporaryRoot()), 'wt'), realpathSync(temporaryRoot())]
  git(root, 'worktree', 'add', '-q', real)
  writeFileSync(join(claimed, '.git'), `gitdir: ${join(root, '.git/worktrees/wt')}\n`)
  refusedWith('LOCK_PLACEMENT', () => names(root, [join(claimed, 'src/a.js')]))
})

naming.run()
