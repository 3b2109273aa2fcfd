import { join } from 'node:path'
import type { Code } from '../../../errors.ts'
import { programAt, runChild } from '../open/child.ts'

/** The result for a valid database: its tree head, and its root at each requested size that it reaches. */
export interface Examined {
  origin: string
  size: number
  root: string
  roots: Record<number, string>
}

/** The result of an examination: the valid database, or the problem that was found. */
export type Examination = Examined | { problem: { code: Code; message: string } }

interface ExamineOptions {
  nonce: string
  onProgress?: ((done: number, total: number) => void) | undefined
  /** The sizes whose roots are wanted. */
  sizes: readonly number[]
}

const program = programAt('log/level/repair/examine-child')

/**
 * Copies a database to a folder in `folder`, opens the copy and verifies every byte of it in a child process, which may
 * crash. The original is not modified. No other process may have it open.
 * Cost: a pass over the database.
 */
export async function examine(
  folder: string,
  database: string,
  { nonce, onProgress, sizes }: ExamineOptions,
): Promise<Examination> {
  // In the folder of evidence, a later open removes a folder with such a name after a crash.
  const scratch = join(folder, `${process.pid}-${nonce}`)
  const { problem, value } = await runChild(program, [database, scratch, ...sizes.map(String)], {
    onLine: (line) => {
      const [done = 0, total = 0] = line.split(' ').map(Number)
      onProgress?.(done, total)
    },
  })
  return problem === undefined ? (value as Examined) : { problem: { code: problem.code, message: problem.message } }
}
