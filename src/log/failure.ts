import { readlinkSync } from 'node:fs'
import { deniedByNode, isDeniedByNode } from '../disk/node-permissions.ts'
import { LockstepError, messageOf, systemCodeOf } from '../errors.ts'
import { given } from '../kernel/given.ts'
import { corrupt } from './corrupt.ts'

/** System errors as LevelDB reports them. LevelDB passes on only the text (strerror of glibc and musl). */
const texts: [code: string, text: RegExp][] = [
  ['EMFILE', /Too many open files(?! in system)|No file descriptors available/],
  ['ENFILE', /Too many open files in system/],
  ['ENOSPC', /No space left/],
  ['EDQUOT', /quota exceeded/i],
  ['EACCES', /Permission denied/],
  ['EROFS', /Read-only file system/],
  ['ENOMEM', /Cannot allocate memory|Out of memory/],
  ['EAGAIN', /Resource temporarily unavailable/],
  ['ENOLCK', /No locks? available/],
  ['ENOENT', /No such file or directory/],
  ['ENOTDIR', /Not a directory/],
  ['EISDIR', /Is a directory/],
  ['ELOOP', /Too many levels of symbolic links|Symbolic link loop/],
  ['EINVAL', /Invalid argument$/],
  ['EIO', /Input\/output error|I\/O error/],
]

/**
 * Codes that mean a file is missing, is not a regular file, or ends too early. LevelDB alone reports the last case, as
 * EINVAL.
 */
const seenToBeWrong = ['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EINVAL']

const hints: Record<string, string> = {
  EMFILE: 'Let the process open more files ("ulimit -n 256") and try again.',
  ENFILE:
    'The machine has too many files open: raise the sysctl fs.file-max, or end the processes that hold them open.',
  ENOSPC: 'Free space and try again.',
  EDQUOT: 'Free space, or raise the quota, and try again.',
  EACCES: 'Run as the user who owns .lockstep, or give that user access to all files in it.',
  EROFS: 'Mount the file system for writing.',
  ENOLCK:
    'The file system cannot provide locks now. Check that its server is running, or keep the ledger on a local disk.',
}
const hintOfOthers = 'No damage was found. Try again; if the error persists, check the disk and the system log.'

/** The system error code of an error from the system or LevelDB; undefined if the error names none. */
export function systemCodeIn(thrown: unknown): string | undefined {
  const code = systemCodeOf(thrown)
  if (code !== undefined && !/^(?:LEVEL|ERR)_/.test(code)) return code
  const text = messageOf(thrown)
  return texts.find(([, pattern]) => pattern.test(text))?.[0]
}

/**
 * Converts an error that LevelDB or the system threw while the database was in use. LEDGER_CORRUPT means that wrong
 * bytes or a missing file were seen. Every other error is LEDGER_UNAVAILABLE, because no damage was seen.
 */
export function failureOf(doing: string, cause: unknown): LockstepError {
  if (cause instanceof LockstepError) return cause
  if (isDeniedByNode(cause)) return deniedByNode(cause, doing)
  const code = systemCodeIn(cause)
  const message = withPaths(`${doing}: ${messageOf(cause)}`)
  const isCorrupt = code === undefined ? /\bCorruption: /.test(messageOf(cause)) : seenToBeWrong.includes(code)
  if (isCorrupt) return corrupt(message, code === undefined ? {} : { system_code: code }, cause)
  return new LockstepError('LEDGER_UNAVAILABLE', message, {
    details: { outcome: 'not_applied', ...given({ system_code: code }) },
    hint: hints[code ?? ''] ?? hintOfOthers,
    cause,
  })
}

/** Whether LevelDB or the system threw this error. Otherwise it is a defect in Lockstep. */
export function isOfTheMachine(thrown: unknown): boolean {
  return /^LEVEL_/.test(systemCodeOf(thrown) ?? '') || systemCodeIn(thrown) !== undefined
}

/** Replaces the `/proc/self/fd` names that LevelDB uses with the real folder paths. */
function withPaths(text: string): string {
  return text.replace(/\/proc\/self\/fd\/\d+/g, (name) => {
    try {
      return readlinkSync(name)
    } catch {
      return name
    }
  })
}
