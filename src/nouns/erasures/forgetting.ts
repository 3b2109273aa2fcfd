import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileError } from '../../disk/durable.ts'
import { type Pin, pinStreamOf, pinsIn } from '../../domain/turn/pin.ts'
import { hasErasedFile, removeErasedStaging } from '../../files/staging/erased-files.ts'
import type { Entry } from '../../kernel/entry.ts'
import { erasedText } from '../../kernel/free-text.ts'
import type { Core } from '../../writer/core.ts'

/**
 * Removes the kept copy of a file of another tool whose content was erased. Errors: FILE_DENIED, FILE_READ_ONLY,
 * FILE_FAILED.
 */
export function forgetContent({ layout }: Pick<Core, 'layout'>, { data, type }: Entry): void {
  if (type !== 'lock.file_set_aside' || data.content !== erasedText || data.digest === undefined) return
  const path = join(layout.aside, String(data.digest))
  try {
    rmSync(path, { force: true })
  } catch (error) {
    throw fileError(error, `removing ${path}`)
  }
}

/**
 * Removes erased objects from the ledger's files outside the log: staged files, uploads, earlier trees of workspaces, and
 * pins. Errors: FILE_DENIED, DISK_FULL, FILE_FAILED.
 */
export async function forgetErased(core: Core, digests: ReadonlySet<string>): Promise<void> {
  const { layout, uploads, views, workspaceFiles } = core
  await removeErasedStaging(layout, digests)
  await uploads.forget()
  const pins: Pin[] = []
  for await (const [, row] of views.rows(pinStreamOf(''))) pins.push(...Object.values(pinsIn(row)))
  await workspaceFiles.forget((folder) => hasErasedFile(folder, digests), pins)
}
