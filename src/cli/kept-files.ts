import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import type { Growth, Kept } from '../nouns/kept-checkpoints.ts'
import { readText } from './input-file.ts'

/** Signed checkpoints that were kept in files. Errors: those of `readText`. */
export function readKept(files: readonly string[] = []): Kept[] {
  return files.map((file) => ({ file, note: readText(file, limits.documentBytes) }))
}

/** The proofs in files that `lockstep consistency --json` wrote. Errors: those of `readText`, INVALID_INPUT. */
export function readGrowths(files: readonly string[] = []): Growth[] {
  return files.flatMap((file) => {
    const read = parsed(readText(file, limits.documentBytes)) as { growths?: unknown } | undefined
    const growths = Array.isArray(read?.growths) ? read.growths : [read]
    if (growths.every(isGrowth)) return growths
    throw new LockstepError('INVALID_INPUT', `${file} is not the output of "lockstep consistency --json"`, {
      details: { file },
    })
  })
}

function isGrowth(value: unknown): value is Growth {
  const { from, proof, to } = (value ?? {}) as Partial<Record<keyof Growth, unknown>>
  const isProof = Array.isArray(proof) && proof.every((hash) => typeof hash === 'string')
  return isProof && Number.isSafeInteger(from) && Number.isSafeInteger(to)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
