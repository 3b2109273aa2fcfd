import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import { replaceFile } from '../../disk/durable.ts'
import { readHint } from '../../disk/regular-file.ts'
import { limits } from '../../kernel/limits.ts'

/**
 * The facts about the tree before the current one: the paths that differ from the current tree. The file is a hint and
 * needs no sync. If it is lost, torn or about another tree, the next tree is built from links once.
 */
const spareSchema = z.strictObject({
  current: z.string(),
  spare: z.string().regex(/^\d+\.\d+$/),
  stale: z.array(z.string()),
})

/** With more paths than this, linking a new tree is hardly slower, so the spare is not kept. */
const stalePathsMax = 50_000
export const spareName = 'spare.json'

/** The tree before the current one, if it can be turned into the next one. */
export function spareOf(trees: string, current: string): { name: string; stale: readonly string[] } | undefined {
  try {
    const parsed = spareSchema.safeParse(JSON.parse(readHint(join(trees, spareName), limits.spareFileBytes) ?? '{}'))
    if (!parsed.success || parsed.data.current !== current) return undefined
    const { spare, stale } = parsed.data
    return existsSync(join(trees, spare)) ? { name: spare, stale } : undefined
  } catch {
    return undefined
  }
}

/** Keeps a tree as the spare. Returns false if that is not worthwhile. */
export function rememberSpare(trees: string, spare: z.infer<typeof spareSchema>): boolean {
  if (spare.stale.length > stalePathsMax) return false
  replaceFile(join(trees, spareName), JSON.stringify(spare))
  return true
}
