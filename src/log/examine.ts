import { join } from 'node:path'
import type { Code } from '../errors.ts'
import type { Layout } from '../fs/layout.ts'
import { programBeside, runChild } from './child.ts'

/** A database that verifies: its tree head, and its root at sizes that were asked for. */
export interface Examined {
  origin: string
  size: number
  root: string
  roots: Record<number, string>
}

/** What an examination came to: the database, or why it does not verify. */
export type Examination = Examined | { problem: { code: Code; message: string } }

const program = programBeside(import.meta.url, '../log/examine-child')

/**
 * Opens a copy of a database and verifies every byte of it, in a process that may die of it. The database is not
 * touched; others must not have it open. Cost: a pass over it.
 */
export async function examine(
  { evidence }: Layout,
  database: string,
  { nonce, sizes }: { nonce: string; sizes: readonly number[] },
): Promise<Examination> {
  // Named as evidence of this process is, so that a later open removes what a crash leaves.
  const scratch = join(evidence, `${process.pid}-${nonce}`)
  const { problem, value } = await runChild(program, [database, scratch, ...sizes.map(String)])
  return problem === undefined ? (value as Examined) : { problem: { code: problem.code, message: problem.message } }
}
