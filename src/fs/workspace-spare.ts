import { existsSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import { limits } from '../core/limits.ts'
import { replaceFile } from './durable.ts'
import { readHint } from './regular-file.ts'

/**
 * What is known of the tree before the current one: the paths that are not in it as they are in the current one. It is
 * a hint and needs no sync: one that is lost, torn or of another current tree costs one build from links.
 */
const spareSchema = z.strictObject({
  current: z.string(),
  spare: z.string().regex(/^\d+\.\d+$/),
  stale: z.array(z.string()),
})

/** More paths than this are not kept: to link a new tree then costs little more. */
const stalePathsMax = 50_000
export const spareName = 'spare.json'

/** The tree before the current one, if it can be made into a new one. */
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

/** Keeps a tree as the spare one; false where it is not worth it. */
export function rememberSpare(trees: string, spare: z.infer<typeof spareSchema>): boolean {
  if (spare.stale.length > stalePathsMax) return false
  replaceFile(join(trees, spareName), JSON.stringify(spare))
  return true
}
