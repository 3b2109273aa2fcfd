import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileError, isAbsence } from '../../disk/durable.ts'
import type { Core } from '../../writer/core.ts'

/** The folders in `.lockstep` that can have copies of database files from before an erasure. */
export function mayRemain({ layout: { evidence, snapshots } }: Pick<Core, 'layout'>): string[] {
  return [evidence, snapshots].flatMap((folder) => {
    try {
      return readdirSync(folder)
        .sort()
        .map((name) => join(folder, name))
    } catch (error) {
      if (isAbsence(error)) return []
      throw fileError(error, `reading ${folder}`)
    }
  })
}
