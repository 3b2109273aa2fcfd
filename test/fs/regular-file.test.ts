import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { bytesOfDescriptor, readHint, readRegularFile, readTextFile } from '../../src/disk/regular-file.ts'
import { LockstepError } from '../../src/errors.ts'
import { temporaryRoot } from '../support/ledger.ts'

const reading = suite('reading a small file')
const folder = temporaryRoot()
const place = (name: string) => join(folder, name)

writeFileSync(place('text'), '\ufeffhello')
mkdirSync(place('folder'))
symlinkSync('text', place('link'))
symlinkSync('/dev/zero', place('zero'))
execFileSync('mkfifo', [place('pipe')])
writeFileSync(place('large'), '')
truncateSync(place('large'), 5 * 1024 ** 3)

reading('gives its bytes up to the size limit, and nothing if the file is missing', () => {
  const read = readRegularFile(place('text'), 8)
  is(read !== undefined && 'bytes' in read && read.bytes.length, 8)
  equal(readRegularFile(place('text'), 7), { size: 8 })
  is(readRegularFile(place('nothing'), 8), undefined)
})

for (const [name, is_] of [
  ['folder', 'is a folder'],
  ['link', 'is a symbolic link'],
  ['zero', 'is a symbolic link'],
  ['pipe', 'is a named pipe'],
  ['large', 'has 5368709120 bytes, but at most 100 are allowed'],
] as const) {
  reading(`reports a ${name} in the caller’s own words, and does not treat it as a hint`, () => {
    const error = new LockstepError('INVALID_INPUT', 'x')
    const said: string[] = []
    try {
      readTextFile(place(name), 100, (what) => {
        said.push(what)
        return error
      })
    } catch (thrown) {
      is(thrown, error)
    }
    equal(said, [is_])
    is(readHint(place(name), 100), undefined)
  })
}

reading('removes the byte order mark of a text, and leaves a hint unchanged', () => {
  is(
    readTextFile(place('text'), 100, () => new LockstepError('INVALID_INPUT', 'x')),
    'hello',
  )
  is(readHint(place('text'), 100), '\ufeffhello')
})

reading('reports a device that was opened through another path', () => {
  const descriptor = openSync('/dev/zero', 'r')
  equal(bytesOfDescriptor(descriptor, 100), { is: 'is a device' })
  closeSync(descriptor)
})

reading.run()
