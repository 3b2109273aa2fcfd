import { join } from 'node:path'
import type { Layout } from '../../../disk/layout.ts'
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

const program = programAt('log/level/repair/examine-child')

/**
 * Copies a database, opens the copy and verifies every byte of it in a child process, which may crash. The original is
 * not modified. No other process may have it open.
 * Cost: a pass over the database.
 */
export async function examine(
  { evidence }: Layout,
  database: string,
  { nonce, sizes }: { nonce: string; sizes: readonly number[] },
): Promise<Examination> {
  // The name follows the pattern for evidence of this process, so a later open removes the folder after a crash.
  const scratch = join(evidence, `${process.pid}-${nonce}`)
  const { problem, value } = await runChild(program, [database, scratch, ...sizes.map(String)])
  return problem === undefined ? (value as Examined) : { problem: { code: problem.code, message: problem.message } }
}
