import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not } from 'uvu/assert'
import type { RunLock } from '../../src/domain/lock/run-lock-file.ts'
import {
  findRunLocks,
  isRunLockPath,
  isSameRunLock,
  readRunLock,
  runLockPath,
  writeRunLock,
} from '../../src/files/run-lock/run-lock-files.ts'
import { defaultConfig } from '../../src/kernel/config.ts'
import { temporaryRoot } from '../support/ledger.ts'

const seven: RunLock = {
  status: 'LOCKED',
  target_name: 'IAMBECCA | TEST001 | GOVERNANCE | iambecca-test-run | NEO',
  run_id: 'run_TEST001_iambecca-test-run_2026-02-02_001',
  lock_owner: 'run_TEST001_iambecca-test-run_2026-02-02_001',
  lock_time: '2026-02-02T12:00:00Z',
  lock_reason: 'P0_INVENTORY initialization',
  release_conditions: ['state == COMPLETE', 'manual override by BECCA'],
}

function put(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

const files = suite('RUN_LOCK.json files')
let root = ''
let path = ''
files.before.each(() => {
  root = temporaryRoot()
  path = join(root, 'runtime/runs/run_x/RUN_LOCK.json')
})

files('the example of the template is read unchanged', () => {
  put(path, JSON.stringify(seven, null, 2))
  const text = readFileSync(path, 'utf8')
  equal(readRunLock(path), { path, run_id: 'run_x', content: seven, status: 'LOCKED', text })
})

files('a byte order mark is tolerated', () => {
  put(path, `\ufeff${JSON.stringify(seven)}`)
  equal(readRunLock(path)?.content, seven)
})

files('a missing file, a missing folder, and a file in place of the folder give no lock', () => {
  is(readRunLock(path), undefined)
  put(join(root, 'runtime/runs/run_x'), 'a file')
  is(readRunLock(path), undefined)
})

const released = { released_at: '2026-02-02T14:30:00Z', released_by: 'BECCA (VERIFICATION)', final_status: 'COMPLETE' }
const unreadable: Record<string, string | Uint8Array> = {
  empty: '',
  cut: JSON.stringify(seven).slice(0, 80),
  'an array': JSON.stringify([seven]),
  'a member less': JSON.stringify({ ...seven, lock_reason: undefined }),
  'another status': JSON.stringify({ ...seven, status: 'locked' }),
  'an unknown final status': JSON.stringify({ ...seven, ...released, status: 'RELEASED', final_status: 'DONE' }),
  'a time that is none': JSON.stringify({ ...seven, lock_time: 'noon' }),
  'a lone surrogate': JSON.stringify(seven).replace('P0_', '\\ud800'),
  '70,000 bytes': JSON.stringify(seven) + ' '.repeat(70_000),
  'bytes that are no text': Uint8Array.from([0xff, 0xfe]),
}
for (const [what, content] of Object.entries({
  'an eighth member': { ...seven, note: 'x' },
  'RELEASED without its three': { ...seven, status: 'RELEASED' },
  'LOCKED with the three': { ...seven, ...released },
})) {
  files(`a file with ${what} is read, and differs from one without`, () => {
    put(path, JSON.stringify(content))
    const found = readRunLock(path)
    equal([found?.content, found?.status], [content, content.status])
    not(found?.content !== undefined && isSameRunLock(found.content, seven))
  })
}

files('a file with a member that has no canonical form is unreadable', () => {
  put(path, JSON.stringify({ ...seven, note: 'x' }).replace('"x"', '"\\ud800"'))
  const found = readRunLock(path)
  equal([found?.content, found?.status], [undefined, undefined])
})

for (const [what, content] of Object.entries(unreadable)) {
  files(`a file that is ${what} exists and is unreadable`, () => {
    put(path, content)
    const found = readRunLock(path)
    is(found?.path, path)
    is(found?.content, undefined)
  })
}

for (const [what, make] of Object.entries({
  'a pipe': () => execFileSync('mkfifo', [path]),
  'a folder': () => mkdirSync(path),
  'a dangling link': () => symlinkSync('nowhere', path),
  'a link to a good file': () => {
    put(join(root, 'good.json'), JSON.stringify(seven))
    symlinkSync(join(root, 'good.json'), path)
  },
})) {
  files(`${what} in place of the file is unreadable, without waiting for it`, () => {
    mkdirSync(dirname(path), { recursive: true })
    make()
    const found = readRunLock(path)
    is(found?.path, path)
    is(found?.content, undefined)
  })
}

files('all runs directories are searched: the root’s, those of projects, and those behind links', () => {
  const paths = ['runtime/runs/run_x', 'projects/ACME/SITE/shop/runtime/runs/run_y', 'elsewhere/run_z']
  for (const run of paths) put(join(root, run, 'RUN_LOCK.json'), JSON.stringify(seven))
  symlinkSync(join(root, 'elsewhere/run_z'), join(root, 'runtime/runs/run_z'))
  symlinkSync('circle', join(root, 'runtime/runs/circle'))
  put(join(root, 'runtime/runs/a-file'), 'no folder')
  put(join(root, 'other/runs/run_w/RUN_LOCK.json'), JSON.stringify(seven))
  const found = findRunLocks(root, defaultConfig)
  equal(
    found.map(({ run_id }) => run_id),
    ['run_x', 'run_z', 'run_y'],
  )
})

files('a root without a runs directory has no files', () => equal(findRunLocks(root, defaultConfig), []))

files('a run’s file stays where it is, and a new one goes below runs_dir', () => {
  const inProject = join(root, 'projects/ACME/SITE/shop/runtime/runs/run_y/RUN_LOCK.json')
  is(runLockPath(root, defaultConfig, 'run_y'), join(root, 'runtime/runs/run_y/RUN_LOCK.json'))
  put(inProject, 'whatever')
  is(runLockPath(root, defaultConfig, 'run_y'), inProject)
  is(runLockPath(root, { ...defaultConfig, runs_dir: 'runs' }, 'run_n'), join(root, 'runs/run_n/RUN_LOCK.json'))
})

files('a run’s file is only RUN_LOCK.json directly in the run’s folder', () => {
  mkdirSync(join(root, 'projects/ACME/SITE/shop'), { recursive: true })
  const rows: Record<string, boolean> = {
    'runtime/runs/run_x/RUN_LOCK.json': true,
    'projects/ACME/SITE/shop/runtime/runs/run_x/RUN_LOCK.json': true,
    'runtime/runs/RUN_LOCK.json': false,
    'runtime/runs/run_x/deep/RUN_LOCK.json': false,
    'runtime/runs/run_x/run_lock.json': false,
    'RUN_LOCK.json': false,
    'projects/ACME/runtime/runs/run_x/RUN_LOCK.json': false,
  }
  for (const [candidate, expected] of Object.entries(rows)) {
    is(isRunLockPath(join(root, candidate), root, defaultConfig), expected, candidate)
  }
})

files('a file is written as pretty JSON with its members in the order of the template', async () => {
  await writeRunLock(path, seven)
  const text = readFileSync(path, 'utf8')
  is(text, `${JSON.stringify(seven, null, 2)}\n`)
  equal(Object.keys(JSON.parse(text)), [
    'status',
    'target_name',
    'run_id',
    'lock_owner',
    'lock_time',
    'lock_reason',
    'release_conditions',
  ])
})

files.run()
