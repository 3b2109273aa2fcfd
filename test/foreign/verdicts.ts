import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** One process of `test/foreign/verdicts.go` that answers cases, in their order. */
export class Verdicts {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>

  constructor(program: string) {
    this.#child = spawn(program)
    this.#child.stderr.pipe(process.stderr)
    this.#child.stdin.on('error', () => {})
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  /** The verdict on each case: `no`, `yes`, or `yes` and the text of a note in base64. */
  async of(cases: readonly object[]): Promise<string[]> {
    for (const one of cases) this.#child.stdin.write(`${JSON.stringify(one)}\n`)
    const verdicts: string[] = []
    while (verdicts.length < cases.length) {
      const { done, value } = await this.#lines.next()
      if (done === true) throw new Error(`the verifier ended after ${verdicts.length} of ${cases.length} cases`)
      verdicts.push(value)
    }
    return verdicts
  }

  async end(): Promise<void> {
    const closed = once(this.#child, 'close')
    this.#child.stdin.end()
    await closed
  }
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
/** A number in all of its digits, also above 2^53. */
const decimal = (value: number) => (Number.isInteger(value) ? BigInt(value).toString() : String(value))

/** An inclusion claim as the verifier reads it. */
export function inclusionCase(claim: {
  leafHash: Uint8Array
  proof: readonly Uint8Array[]
  root: Uint8Array
  seq: number
  size: number
}): object {
  const { leafHash, proof, root, seq, size } = claim
  const hashes = { leaf: base64(leafHash), proof: proof.map(base64), root: base64(root) }
  return { kind: 'inclusion', ...hashes, seq: decimal(seq), size: decimal(size) }
}

/** A consistency claim as the verifier reads it. */
export function consistencyCase(claim: {
  from: number
  fromRoot: Uint8Array
  proof: readonly Uint8Array[]
  to: number
  toRoot: Uint8Array
}): object {
  const { from, fromRoot, proof, to, toRoot } = claim
  const hashes = { from_root: base64(fromRoot), proof: proof.map(base64), root: base64(toRoot) }
  return { kind: 'consistency', ...hashes, from: decimal(from), size: decimal(to) }
}

/** A note and the key line that it is opened with, as the verifier reads them. */
export function noteCase(note: Uint8Array, vkey: string): object {
  return { kind: 'note', note: base64(note), vkey }
}
