import * as z from 'zod'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { sha256Schema } from '../kernel/vocabulary.ts'
import { proofHashesMax } from '../merkle/proofs.ts'
import type { Growth, Kept } from '../nouns/kept-checkpoints.ts'
import { readText } from './input-file.ts'

/** Signed checkpoints that were kept in files. Errors: those of `readText`. */
export function readKept(files: readonly string[] = []): Kept[] {
  return files.map((file) => ({ file, note: readText(file, limits.documentBytes) }))
}

const growth = z.object({
  from: z.int().min(0),
  proof: z.array(sha256Schema).max(proofHashesMax),
  to: z.int().min(0),
})
const document = z.union([
  growth.transform((one) => [one]),
  z.object({ growths: z.array(growth) }).transform(growthsOf),
])

function growthsOf({ growths }: { growths: Growth[] }): Growth[] {
  return growths
}

/** The proofs in files that `lockstep consistency --json` wrote. Errors: those of `readText`, INVALID_INPUT. */
export function readGrowths(files: readonly string[] = []): Growth[] {
  return files.flatMap((file) => {
    const read = document.safeParse(parsed(readText(file, limits.documentBytes)))
    if (read.success) return read.data
    throw new LockstepError('INVALID_INPUT', `${file} is not the output of "lockstep consistency --json"`, {
      details: { file },
    })
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
