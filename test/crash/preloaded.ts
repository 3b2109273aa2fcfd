import { spawnSync } from 'node:child_process'
import { realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../runner.ts'
import { temporaryRoot } from '../support/ledger.ts'

/** What a program is started with whose system calls are counted, fail or are recorded. */
export interface Preload {
  /** The folder below which calls count, by its real path. */
  folder: string
  /** The file of the numbers that program and library share. */
  state: string
  env: Record<string, string>
}

const source = join(root, 'fixtures/crash/system-calls.c')
const flags = ['-O1', '-shared', '-fPIC', '-fno-delete-null-pointer-checks', '-Wno-nonnull-compare']
let library: string | undefined

/** Compiles the library that stands between a program and the C library; undefined, and said so, where that fails. */
export function preload(variables: Record<string, string> = {}): Preload | undefined {
  library ??= compiledLibrary()
  if (library === '') {
    console.log('gcc cannot make a library for LD_PRELOAD here: no system call is made to fail')
    return undefined
  }
  const folder = realpathSync(temporaryRoot())
  const state = join(temporaryRoot(), 'state')
  writeFileSync(state, Buffer.alloc(64))
  return { folder, state, env: { CALLS_ROOT: folder, CALLS_STATE: state, LD_PRELOAD: library, ...variables } }
}

function compiledLibrary(): string {
  const path = join(temporaryRoot(), 'system-calls.so')
  const { status } = spawnSync('gcc', [...flags, '-o', path, source, '-ldl', '-lpthread'])
  const check = 'process.exit(0)'
  const works =
    status === 0 && spawnSync(process.execPath, ['-e', check], { env: { ...process.env, LD_PRELOAD: path } })
  return works !== false && works.status === 0 && works.stderr.length === 0 ? path : ''
}
