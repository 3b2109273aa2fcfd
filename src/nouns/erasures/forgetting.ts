import { type Pin, pinStreamOf, pinsIn } from '../../domain/turn/pin.ts'
import { hasErasedFile, removeErasedStaging } from '../../files/staging/erased-files.ts'
import type { Core } from '../../writer/core.ts'

/**
 * Removes erased texts from the ledger's files outside the log: staged files, uploads, earlier trees of workspaces, and
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
