import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { root } from '../runner.ts'

const program = join(root, 'fixtures/foreign/lock-tool.mjs')

/** When somebody believed to hold the lock, on the clock that all processes share; nobody where it was refused. */
export interface Belief {
  who: string
  from: number
  to: number
  /** Whether the lock file was its own to the end. One that lost it to another tool leaves nothing to detect. */
  kept: boolean
}

/** What a tool is to do in a round: when to start, how long to act on what it has read, how long to work. */
export interface Part {
  at: number
  think_ms: number
  hold_ms: number
}

/** Nanoseconds on the clock that all processes of a machine share. */
export function sharedNanos(): number {
  return Number(process.hrtime.bigint())
}

/** Tools of somebody else's that follow the seed's own unlink-and-retry, ready for round after round. */
export class ForeignTools {
  readonly #children: ChildProcess[]
  readonly #lines: AsyncIterator<string>[]

  constructor(folder: string, count: number) {
    const names = Array.from({ length: count }, (_, index) => `foreign-${index}`)
    this.#children = names.map((name) =>
      spawn(process.execPath, [program, folder, name], { stdio: ['pipe', 'pipe', 'inherit'] }),
    )
    this.#lines = this.#children.map((child) => {
      if (child.stdout === null) throw new Error('a tool has no output')
      return createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    })
  }

  /** Lets so many tools play their parts; resolves when all have answered. */
  async play(count: number, partOf: () => Part): Promise<Belief[]> {
    for (const child of this.#children.slice(0, count)) child.stdin?.write(`${JSON.stringify(partOf())}\n`)
    const answers = await Promise.all(this.#lines.slice(0, count).map((lines) => lines.next()))
    return answers.flatMap(({ value, done }, index) => {
      if (done) throw new Error(`foreign-${index} has ended`)
      const answer = JSON.parse(value) as Omit<Belief, 'who'> | { contention: true }
      return 'from' in answer ? [{ who: `foreign-${index}`, ...answer }] : []
    })
  }

  async end(): Promise<void> {
    for (const child of this.#children) child.stdin?.end()
    await Promise.all(this.#children.map((child) => (child.exitCode === null ? once(child, 'exit') : undefined)))
  }
}

/** Those who believed to hold while ours did. */
export function overlaps(ours: Pick<Belief, 'from' | 'to'>, theirs: readonly Belief[]): Belief[] {
  return theirs.filter(({ from, to }) => from < ours.to && ours.from < to)
}
