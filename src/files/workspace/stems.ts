import type { OpenFolder } from '../../disk/open-folder.ts'
import { hashedStemsPath, stemAt, stemPath } from './names.ts'

/** The stem whose files are at a path, or undefined if no stem's are. */
export type StemAt = (path: string) => string | undefined

/**
 * Maps the names in a workspace's tree back to stems. An escaped name is decoded. For a hashed name, the index tells
 * the stem, and is believed only if the hash matches.
 * Cost: reads one file for each hashed stem.
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

/** JSON escapes need at most six bytes for each byte of a stem. */
const fileBytesMax = 4_096

/** Does work in a subfolder of an open folder; does nothing if the subfolder does not exist. */
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

/** An invalid file names no stem. The code that looks for its stem then does not find it. */
function stemIn(bytes: Uint8Array): string | undefined {
  try {
    const { stem } = JSON.parse(Buffer.from(bytes).toString()) as { stem?: unknown }
    return typeof stem === 'string' ? stem : undefined
  } catch {
    return undefined
  }
}
