import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { readInput, readText } from '../../src/cli/input-file.ts'
import { root as projectRoot } from '../runner.ts'
import { refusalOf } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'

const input = suite('a file that the command is given')
const folder = temporaryRoot()
const place = (name: string) => join(folder, name)

writeFileSync(place('text'), '\ufeffhello')
symlinkSync('text', place('link'))
mkdirSync(place('folder'))
execFileSync('mkfifo', [place('pipe')])
writeFileSync(place('large'), '')
truncateSync(place('large'), 5 * 1024 ** 3)

input('is read up to its size limit, through links, without a byte order mark', () => {
  is(readInput(place('text'), 8).length, 8)
  is(readText(place('link'), 8), 'hello')
})

for (const [file, code, what] of [
  [place('folder'), 'INVALID_INPUT', 'is a folder'],
  [place('pipe'), 'INVALID_INPUT', 'is a named pipe'],
  ['/dev/zero', 'INVALID_INPUT', 'is a device'],
  [place('large'), 'LIMIT_EXCEEDED', 'is too large: it has more than 100 bytes'],
  [place('text'), 'LIMIT_EXCEEDED', 'is too large: it has more than 7 bytes'],
  [place('nothing'), 'NOT_FOUND', undefined],
] as const) {
  input(`is ${code}, at once: ${file.replace(folder, '')}`, async () => {
    const refusal = await refusalOf(() => readInput(file, file === place('text') ? 7 : 100))
    is(refusal.code, code)
    if (what !== undefined) is(refusal.message, `${file} ${what}`)
  })
}

input('is read only up to its size limit if the shell opened it', async () => {
  const descriptor = openSync('/dev/zero', 'r')
  const { code } = await refusalOf(() => readInput(`/dev/fd/${descriptor}`, 100))
  is(code, 'LIMIT_EXCEEDED')
  closeSync(descriptor)
})

input('may be stdin, or a pipe that the shell made', async () => {
  if (spawnSync('bash', ['-c', 'true']).status !== 0) return console.log('bash is not here: no pipe is made by a shell')
  const root = temporaryRoot()
  const lockstep = `"${process.execPath}" "${join(projectRoot, 'dist/cli/main.js')}" --dir "${root}"`
  const event = `echo '{"action_type":"system","outcome":"success"}'`
  const append = `${lockstep} audit append --file`
  const script = `set -e; ${lockstep} init; ${append} <(${event}); ${event} | ${append} -; ${event} | ${append} /dev/stdin`
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' })
  equal([status, stderr], [0, ''], stdout)
  await endsWithVerify(root)
})

input.run()
