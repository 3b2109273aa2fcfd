import { spawnSync } from 'node:child_process'
import { basename, join } from 'node:path'

/** Where Debian's package golang-golang-x-mod-dev puts its sources. */
const goPath = '/usr/share/gocode'

/**
 * Builds a Go program of `test/foreign` into a folder, and returns the path of the program. Undefined without Go or its
 * package x/mod; the test then says so and checks less.
 */
export function foreign(source: string, folder: string): string | undefined {
  const program = join(folder, basename(source, '.go'))
  const env = { ...process.env, GO111MODULE: 'off', GOCACHE: join(folder, 'cache'), GOPATH: goPath }
  const built = spawnSync('go', ['build', '-o', program, source], { encoding: 'utf8', env, timeout: 120_000 })
  if (built.status === 0) return program
  const isMissing = built.error !== undefined || /cannot find package/.test(built.stderr)
  if (!isMissing) throw new Error(`building ${source} failed: ${built.stderr}`)
  console.log(`golang-go with golang-golang-x-mod-dev is not installed, so ${basename(source)} checks nothing`)
  return undefined
}
