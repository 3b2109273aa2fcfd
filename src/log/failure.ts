import { readlinkSync } from 'node:fs'
import { LockstepError, messageOf, systemCodeOf } from '../errors.ts'
import { deniedByNode, isDeniedByNode } from '../fs/node-permissions.ts'
import { corrupt } from './corrupt.ts'

/** What LevelDB prints for an error of the system, which it passes on as text alone (strerror of glibc and musl). */
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

/** A file that is missing, is no file, or ends before what is read of it (EINVAL, from LevelDB alone). */
const seenToBeWrong = ['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EINVAL']

const hints: Record<string, string> = {
  EMFILE: 'Let the process open more files ("ulimit -n 256") and try again.',
  ENFILE: 'The machine has too many files open: raise the sysctl fs.file-max, or end what holds them.',
  ENOSPC: 'Free space and try again.',
  EDQUOT: 'Free space, or raise the quota, and try again.',
  EACCES: 'Run as the user who owns .lockstep, or give that user access to all files in it.',
  EROFS: 'Mount the file system for writing.',
  ENOLCK: 'The file system gives no locks now: see whether its server runs, or keep the ledger on a local disk.',
}
const hintOfOthers = 'Nothing is known to be damaged. Try again; if it stays, look at the disk and at the system log.'

/** The system's code of an error of the system or of LevelDB; undefined where neither names one. */
export function systemCodeIn(thrown: unknown): string | undefined {
  const code = systemCodeOf(thrown)
  if (code !== undefined && !/^(?:LEVEL|ERR)_/.test(code)) return code
  const text = messageOf(thrown)
  return texts.find(([, pattern]) => pattern.test(text))?.[0]
}

/**
 * What an error says that LevelDB or the system threw while the database was used: LEDGER_CORRUPT where bytes were seen
 * to be wrong or a file of it to be missing, LEDGER_UNAVAILABLE in every other case, for then nobody has seen damage.
 */
export function failureOf(doing: string, cause: unknown): LockstepError {
  if (cause instanceof LockstepError) return cause
  if (isDeniedByNode(cause)) return deniedByNode(cause, doing)
  const code = systemCodeIn(cause)
  const message = withPaths(`${doing}: ${messageOf(cause)}`)
  const isCorrupt = code === undefined ? /\bCorruption: /.test(messageOf(cause)) : seenToBeWrong.includes(code)
  if (isCorrupt) return corrupt(message, code === undefined ? {} : { system_code: code }, cause)
  return new LockstepError('LEDGER_UNAVAILABLE', message, {
    details: { outcome: 'not_applied', ...(code === undefined ? {} : { system_code: code }) },
    hint: hints[code ?? ''] ?? hintOfOthers,
    cause,
  })
}

/** Whether something was thrown by LevelDB or the system, and not by a defect of ours. */
export function isOfTheMachine(thrown: unknown): boolean {
  return /^LEVEL_/.test(systemCodeOf(thrown) ?? '') || systemCodeIn(thrown) !== undefined
}

/** An open folder's path instead of the name that LevelDB knows it by. */
function withPaths(text: string): string {
  return text.replace(/\/proc\/self\/fd\/\d+/g, (name) => {
    try {
      return readlinkSync(name)
    } catch {
      return name
    }
  })
}
