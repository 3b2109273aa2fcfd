import { createHash } from 'node:crypto'
import type { BundleFile, FileFacts } from '../../domain/export/manifest.ts'
import type { BundleFiles } from '../../files/bundle/bundle-reader.ts'
import { paddingOf, tarHeader, tarTrailerBytes } from '../../files/bundle/tar.ts'
import { limits } from '../../kernel/limits.ts'
import { failed } from './export-lines.ts'

export type Texts = ReadonlyMap<string, string>
export type Facts = ReadonlyMap<string, FileFacts>
const newline = 0x0a
const longLineBytes = limits.exportProofBytes
const longFiles: readonly string[] = ['entries.jsonl', 'proofs/inclusion.jsonl'] satisfies BundleFile[]

/**
 * Reads the bundle once: hashes every file and the uncompressed archive, and keeps the texts of the small files. Errors:
 * VERIFY_FAILED (`archive`, `entries`, `proofs`).
 */
export async function readOnce(
  files: BundleFiles,
): Promise<{ facts: Facts; package_hash_sha256: string; texts: Texts }> {
  const facts = new Map<string, FileFacts>()
  const texts = new Map<string, string>()
  const whole = createHash('sha256')
  for await (const { chunks, name, size } of files()) {
    const isLong = longFiles.includes(name)
    if (!isLong && size > limits.exportSmallFileBytes)
      throw failed('archive', `${name} is larger than ${limits.exportSmallFileBytes} bytes`)
    const digest = createHash('sha256')
    const kept: Uint8Array[] = []
    whole.update(tarHeader(name, size))
    let sinceNewline = 0
    for await (const chunk of chunks) {
      digest.update(chunk)
      whole.update(chunk)
      if (!isLong) kept.push(chunk)
      const last = chunk.lastIndexOf(newline)
      sinceNewline = last === -1 ? sinceNewline + chunk.length : chunk.length - 1 - last
      // Lines are checked later. This limit only stops the reading of huge files without newlines.
      if (isLong && sinceNewline > longLineBytes) {
        throw failed(
          name === 'entries.jsonl' ? 'entries' : 'proofs',
          `${name} has a line longer than ${longLineBytes} bytes`,
        )
      }
    }
    whole.update(Buffer.alloc(paddingOf(size)))
    facts.set(name, { bytes: size, sha256: digest.digest('hex') })
    if (!isLong) texts.set(name, Buffer.concat(kept).toString('utf8'))
  }
  return { facts, package_hash_sha256: whole.update(Buffer.alloc(tarTrailerBytes)).digest('hex'), texts }
}

/** The size and hash of a file; those of a missing one match nothing. */
export function factOf(facts: Facts, name: BundleFile): FileFacts {
  return facts.get(name) ?? { bytes: 0, sha256: '' }
}
