import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { makeFolderBelow, writeDurably } from '../../disk/durable.ts'
import type { Layout } from '../../disk/layout.ts'
import { readRegularFile } from '../../disk/regular-file.ts'
import type { KeptFile } from '../../domain/lock/commands.ts'
import { LockstepError } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'

/**
 * Copies a file of another tool into `.lockstep/aside`, named by its SHA-256, so the same bytes are kept only once. The
 * copy is durable before the entry that names it is appended; a copy without an entry does no harm. Errors:
 * LIMIT_EXCEEDED, FILE_FAILED (it is not a plain file, or changes), and other file errors.
 */
export async function keepFile({ aside, home, root }: Layout, path: string): Promise<KeptFile> {
  const bytes = bytesOf(path)
  const digest = digestOf(bytes)
  makeFolderBelow(home, aside, 0o700)
  const copy = join(aside, digest)
  // Two folders can have files with the same bytes at the same time.
  await writeDurably(copy, bytes, 0o600, `${copy}.${randomBytes(8).toString('hex')}.tmp`)
  return { aside: relative(root, copy), digest }
}

/** Removes copies that a crash left unfinished. It runs at open, when no other process can be writing one. */
export function dropUnfinishedCopies({ aside }: Layout): void {
  if (!existsSync(aside)) return
  for (const name of readdirSync(aside)) if (name.endsWith('.tmp')) rmSync(join(aside, name), { force: true })
}

/** Whether a file has these bytes. A file that cannot be read counts as another. */
export function hasDigest(path: string, digest: unknown): boolean {
  try {
    return digestOf(bytesOf(path)) === digest
  } catch {
    return false
  }
}

function bytesOf(path: string): Buffer {
  const read = readRegularFile(path, limits.asideFileBytes)
  if (read !== undefined && 'bytes' in read) return read.bytes
  if (read !== undefined && 'size' in read) {
    const most = `the most that Lockstep keeps is ${limits.asideFileBytes}`
    throw new LockstepError('LIMIT_EXCEEDED', `${path} has ${read.size} bytes; ${most}`, {
      hint: 'Move the file away by hand.',
    })
  }
  throw new LockstepError('FILE_FAILED', `${path} ${read?.is ?? 'is gone'}`)
}

function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
