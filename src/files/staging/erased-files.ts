import { readdirSync } from 'node:fs'
import { fileError, isAbsence } from '../../disk/durable.ts'
import type { Layout } from '../../disk/layout.ts'
import { limits } from '../../kernel/limits.ts'
import { digestOfFile } from './staging.ts'
import { readStagingFiles, type StagingFile } from './staging-files.ts'
import { stagedTurns, stagingFolder } from './staging-folder.ts'

const bounds = {
  object_bytes: limits.turnBytes,
  refs: limits.turnRefsMaxMax,
  stems: limits.turnStemsMaxMax,
  turn_bytes: limits.turnBytesMax,
}

/** Removes files with erased texts from the folders in which turns are staged. Errors: FILE_DENIED, FILE_FAILED. */
export async function removeErasedStaging(layout: Layout, digests: ReadonlySet<string>): Promise<void> {
  const take = (file: StagingFile) => digests.has(digestOfFile(file) ?? '')
  for (const run of runsIn(layout)) {
    for (const turn of stagedTurns(layout, run))
      await readStagingFiles(stagingFolder(layout, run, turn), { bounds, take })
  }
}

/** Whether a workspace's tree has a file with an erased text. Errors: FILE_DENIED, FILE_FAILED. */
export async function hasErasedFile(folder: string, digests: ReadonlySet<string>): Promise<boolean> {
  const { files } = await readStagingFiles(folder, { bounds, isWorkspace: true })
  return files.some((file) => digests.has(digestOfFile(file) ?? ''))
}

function runsIn({ staging }: Layout): string[] {
  try {
    const entries = readdirSync(staging, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  } catch (error) {
    if (isAbsence(error)) return []
    throw fileError(error, `reading ${staging}`)
  }
}
