import type { OpenFolder } from './open-folder.ts'
import { hashedStemsPath, stemAt, stemPath } from './workspace-names.ts'

/** The stem whose files stand at a path, if one's do. */
export type StemAt = (path: string) => string | undefined

/**
 * Reads the names in a workspace's tree back to stems: an escaped one by itself, one that is a hash by what the index
 * says, which counts only where the hash is that stem's. Cost: a file for each such stem.
 */
export function stemsOfWorkspace(tree: OpenFolder, stemsMax: number): StemAt {
  const hashed = new Map<string, string>()
  inFolder(tree, hashedStemsPath.split('/'), (folder) => {
    for (const { kind, name } of folder.names(stemsMax) ?? []) {
      const found = kind === 'file' ? folder.read(name, fileBytesMax) : undefined
      const stem = found !== undefined && 'bytes' in found ? stemIn(found.bytes) : undefined
      if (stem !== undefined) hashed.set(stemPath(stem), stem)
    }
  })
  return (path) => stemAt(path) ?? hashed.get(path)
}

/** Six bytes for each of a stem's, at most, as JSON escapes it. */
const fileBytesMax = 4_096

/** Works in a folder below one that is open; nothing is done where there is none. */
function inFolder(from: OpenFolder, [name, ...below]: readonly string[], work: (folder: OpenFolder) => void): void {
  if (name === undefined) {
    work(from)
    return
  }
  const folder = from.folder(name)
  if ('is' in folder) return
  try {
    inFolder(folder, below, work)
  } finally {
    folder.close()
  }
}

/** What is no such file names no stem: who wants its stem misses it. */
function stemIn(bytes: Uint8Array): string | undefined {
  try {
    const { stem } = JSON.parse(Buffer.from(bytes).toString()) as { stem?: unknown }
    return typeof stem === 'string' ? stem : undefined
  } catch {
    return undefined
  }
}
