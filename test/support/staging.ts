import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Writes the three files of a stem below a directory; parts that are null are left out. */
export function stageStem(
  directory: string,
  stem: string,
  { body = {}, links = {}, manifest = {} }: Partial<Record<'body' | 'links' | 'manifest', object | string | null>> = {},
): void {
  for (const [part, content] of Object.entries({ body, links, manifest })) {
    if (content !== null) stageFile(directory, `${stem}.${part}.json`, content)
  }
}

/** Writes a file below a directory, with the folders above it. */
export function stageFile(directory: string, path: string, content: object | string | Uint8Array): string {
  const file = join(directory, path)
  mkdirSync(dirname(file), { recursive: true })
  const isRaw = typeof content === 'string' || content instanceof Uint8Array
  writeFileSync(file, isRaw ? content : `${JSON.stringify(content, null, 2)}\n`)
  return file
}

/** Writes the tombstone of a stem. */
export function stageTombstone(
  directory: string,
  stem: string,
  turnId: string,
  of = { dto_type: 'page', id: stem },
): void {
  const tombstone = { kind: 'tombstone', stem, ...of, deleted_by_turn_id: turnId }
  stageFile(directory, `${stem}.tombstone.json`, tombstone)
}
