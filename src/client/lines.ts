import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { unreachable } from './failures.ts'

/**
 * The lines of a body of JSON Lines, in groups as they arrive; blank lines are left out. Errors: those of the body, and
 * INVARIANT_VIOLATED for a line that is too long.
 */
export async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string[]> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  for await (const chunk of body) {
    const lines = decoder.decode(chunk, { stream: true }).split('\n')
    lines[0] = rest + lines[0]
    rest = lines.pop() ?? ''
    if (rest.length > limits.answerLineChars)
      throw new LockstepError('INVARIANT_VIOLATED', 'a line of the answer is too long')
    if (lines.length > 0) yield lines.filter((line) => line !== '')
  }
  rest += decoder.decode()
  if (rest !== '') yield [rest]
}

/** All of a body. */
export async function bytesOf(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** All of a body as text. */
export async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  return (await bytesOf(body)).toString()
}

/** A document of an answer. Errors: LEDGER_UNAVAILABLE, because what is not JSON is no answer of the service. */
export function parsed(text: string, place: string): object {
  try {
    const document: unknown = JSON.parse(text)
    if (typeof document === 'object' && document !== null) return document
  } catch {
    // Told below.
  }
  throw unreachable(place, 'unknown', new Error('the answer is not a document of JSON'))
}
