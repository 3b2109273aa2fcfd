import { lstatSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { replaceFile } from './durable.ts'
import type { Layout } from './layout.ts'
import { readHint } from './regular-file.ts'

/** The system cuts a longer socket path off at 107 bytes without an error. Some systems allow a little less. */
const socketPathBytesMax = 100

/**
 * The socket at which a service of this ledger listens, if there is one; undefined if there is none for certain. The
 * path of a ledger's own folder can be too long for a socket. Then `.lockstep/socket` names a socket elsewhere, and the
 * folder `.lockstep` itself: in a copy of the ledger, it would name the service of the original.
 */
export function socketOf(layout: Pick<Layout, 'home' | 'socket' | 'socketName'>): string | undefined {
  if (fits(layout.socket)) return layout.socket
  const [path = '', folder] = readHint(layout.socketName, limits.homeFileBytes)?.split('\n') ?? []
  const isOwn = path !== '' && fits(path) && folder === idOf(layout.home) && isPrivate(dirname(path), layout.home)
  return isOwn ? path : undefined
}

/**
 * The path at which a service may listen. If the ledger's own folder has too long a path, it is in a new private folder
 * of the runtime directory, and `.lockstep/socket` names it. Errors: LEDGER_UNAVAILABLE, those of the file system.
 */
export function socketToListenAt(layout: Pick<Layout, 'home' | 'socket' | 'socketName'>): string {
  const known = socketOf(layout)
  if (known !== undefined) return known
  const places = [process.env.XDG_RUNTIME_DIR, tmpdir(), '/tmp'].filter((place) => place !== undefined && place !== '')
  const place = places.find((place) => fits(join(place ?? '', 'lockstep-XXXXXX', 'service.sock')))
  if (place === undefined) {
    throw new LockstepError('LEDGER_UNAVAILABLE', 'no folder has a path that is short enough for a socket', {
      details: { outcome: 'not_applied' },
      hint: 'Set XDG_RUNTIME_DIR to a folder with a short path.',
    })
  }
  const path = join(mkdtempSync(join(place, 'lockstep-')), 'service.sock')
  replaceFile(layout.socketName, `${path}\n${idOf(layout.home)}`)
  return path
}

/** Two folders that exist have different ids. */
function idOf(folder: string): string | undefined {
  const stat = lstatSync(folder, { bigint: true, throwIfNoEntry: false })
  return stat && `${stat.dev}-${stat.ino}`
}

function fits(path: string): boolean {
  return Buffer.byteLength(path) <= socketPathBytesMax
}

/** Whether only the owner of the ledger can put a socket in a folder. A temporary folder may be another user's by now. */
function isPrivate(folder: string, home: string): boolean {
  try {
    const [stat, own] = [lstatSync(folder), lstatSync(home)]
    return stat.isDirectory() && stat.uid === own.uid && (stat.mode & 0o077) === 0
  } catch {
    return false
  }
}
