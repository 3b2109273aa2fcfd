import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import { failureOf, isOfTheMachine } from '../../src/log/failure.ts'

const failure = suite('an error of LevelDB or of the system')

/** What LevelDB says, by glibc’s or musl’s words, the system’s code in it, and whether bytes were seen to be wrong. */
const ofLevel: [text: string, code: string | undefined, isCorrupt: boolean][] = [
  ['IO error: /l/000005.log: Input/output error', 'EIO', false],
  ['IO error: /l/000005.log: I/O error', 'EIO', false],
  ['IO error: /l/MANIFEST-000004: Too many open files', 'EMFILE', false],
  ['IO error: /l/MANIFEST-000004: No file descriptors available', 'EMFILE', false],
  ['IO error: /l/MANIFEST-000004: Too many open files in system', 'ENFILE', false],
  ['IO error: /l/000007.ldb: No space left on device', 'ENOSPC', false],
  ['IO error: /l/000007.ldb: Disk quota exceeded', 'EDQUOT', false],
  ['IO error: /l/000007.ldb: File too large', undefined, false],
  ['IO error: /l/000007.ldb: Interrupted system call', undefined, false],
  ['IO error: /l/000007.ldb: Connection timed out', undefined, false],
  ['IO error: /l/000007.ldb: Stale file handle', undefined, false],
  ['IO error: /l/000007.ldb: Device or resource busy', undefined, false],
  ['IO error: /l/000007.ldb: Permission denied', 'EACCES', false],
  ['IO error: lock /l/LOCK: No locks available', 'ENOLCK', false],
  ['Invalid argument: /l: does not exist (create_if_missing is false)', undefined, false],
  ['IO error: /l/000007.ldb: No such file or directory', 'ENOENT', true],
  ['IO error: /l/000007.ldb: Is a directory', 'EISDIR', true],
  ['IO error: /l/000007.ldb: Invalid argument', 'EINVAL', true],
  ['Corruption: bad record in block', undefined, true],
  ['Corruption: 1 missing files; e.g.: /l/000007.ldb', undefined, true],
]

for (const [text, code, isCorrupt] of ofLevel) {
  failure(`(${text}) is ${isCorrupt ? 'damage' : 'no damage'}`, () => {
    const { cause, code: ours, details, hint, message, retryable } = failureOf('opening', new Error(text))
    is(ours, isCorrupt ? 'LEDGER_CORRUPT' : 'LEDGER_UNAVAILABLE')
    equal([details.system_code, details.outcome], [code, isCorrupt ? undefined : 'not_applied'])
    is(retryable, !isCorrupt)
    is(message, `opening: ${text}`)
    is((cause as Error).message, text)
    ok(hint)
  })
}

failure('with an error code of Node is judged by that code, whatever the path contains', () => {
  for (const [code, isCorrupt] of [
    ['EIO', false],
    ['EMFILE', false],
    ['ESTALE', false],
    ['EBUSY', false],
    ['ENOENT', true],
    ['EISDIR', true],
    ['ELOOP', true],
  ] as const) {
    const error = Object.assign(new Error(`${code}: odd, read '/Corruption: /No such file or directory'`), { code })
    is(failureOf('reading', error).code, isCorrupt ? 'LEDGER_CORRUPT' : 'LEDGER_UNAVAILABLE', code)
    ok(isOfTheMachine(error))
  }
})

failure('says which limit to raise if there are too many open files', () => {
  match(failureOf('opening', new Error('IO error: /l: Too many open files')).hint ?? '', 'ulimit -n')
  match(failureOf('opening', new Error('IO error: /l: Too many open files in system')).hint ?? '', 'fs.file-max')
})

failure('is unchanged if it is a LockstepError; a defect is not an error of the machine', () => {
  const ours = new LockstepError('LEDGER_FORMAT', 'another format')
  is(failureOf('opening', ours), ours)
  for (const defect of [
    new TypeError('x is not a function'),
    Object.assign(new TypeError('x'), { code: 'ERR_INVALID_ARG_TYPE' }),
  ]) {
    is(isOfTheMachine(defect), false)
  }
})

failure.run()
