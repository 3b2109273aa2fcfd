import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { readKey } from '../../src/disk/key-file.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { signedBytes, statementType } from '../../src/domain/export/manifest.ts'
import { writeArchive } from '../../src/files/bundle/bundle-file.ts'
import { tarBlock } from '../../src/files/bundle/tar.ts'

/** The files of a bundle, to be changed. */
export type Bundle = Map<string, Buffer>

/** The files of an archive, read the short way. */
export function unpack(archive: string): Bundle {
  const bytes = gunzipSync(readFileSync(archive))
  const files: Bundle = new Map()
  for (let at = 0; bytes[at] !== 0; ) {
    const name = bytes.toString('latin1', at, at + 100).replace(/\0.*$/s, '')
    const size = Number.parseInt(bytes.toString('latin1', at + 124, at + 135), 8)
    files.set(name, Buffer.from(bytes.subarray(at + tarBlock, at + tarBlock + size)))
    at += tarBlock + Math.ceil(size / tarBlock) * tarBlock
  }
  return files
}

/** Writes files as an archive whose first bytes fit the others. */
export async function pack(files: Bundle, archive: string): Promise<string> {
  rmSync(archive, { force: true })
  await writeArchive(
    archive,
    [...files].map(([name, bytes]) => ({ name, bytes })),
  )
  return archive
}

/** Writes files as a folder, as tar would unpack them. */
export function spread(files: Bundle, folder: string): string {
  for (const [name, bytes] of files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), bytes)
  }
  return folder
}

/** The same files with one changed. */
export function changed(files: Bundle, name: string, change: (text: string) => string): Bundle {
  return new Map([...files, [name, Buffer.from(change(files.get(name)?.toString('utf8') ?? ''))]])
}

/** The same files under a statement that the ledger's own key signs again: what only its owner can do. */
export function resealed(files: Bundle, root: string): Bundle {
  const { sign } = readKey(layoutOf(root))
  return changed(files, 'statement.json', (text) => {
    const envelope = JSON.parse(text)
    const statement = JSON.parse(Buffer.from(envelope.payload, 'base64').toString('utf8'))
    statement.subject = [...files.keys()]
      .filter((name) => name !== 'statement.json')
      .map((name) => ({ digest: { sha256: digestOf(files.get(name)) }, name }))
    const payload = JSON.stringify(statement)
    const [signature] = envelope.signatures
    const sig = Buffer.from(sign(signedBytes(payload))).toString('base64')
    const sealed = { payload: Buffer.from(payload).toString('base64'), payloadType: statementType }
    return `${JSON.stringify({ ...sealed, signatures: [{ ...signature, sig }] })}\n`
  })
}

/** The manifest made to name the long files as they are. */
export function relisted(files: Bundle): Bundle {
  return changed(files, 'manifest.json', (text) => {
    const manifest = JSON.parse(text)
    for (const artifact of manifest.contents.artifacts) {
      const bytes = files.get(artifact.storage_locator)
      artifact.byte_size = bytes?.length
      artifact.hash_sha256 = digestOf(bytes)
    }
    const [table] = manifest.contents.included_tables
    table.hash_sha256 = digestOf(files.get('entries.jsonl'))
    return `${JSON.stringify(manifest)}\n`
  })
}

function digestOf(bytes: Buffer | undefined): string {
  return createHash('sha256')
    .update(bytes ?? '')
    .digest('hex')
}
