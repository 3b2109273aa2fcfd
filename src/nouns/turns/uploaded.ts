import type { z } from 'zod'
import { proposedTriplet, type stageSchema } from '../../domain/turn/commands.ts'
import { issueSchema } from '../../domain/turn/issue.ts'
import { LockstepError } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'
import type { Core } from '../../writer/core.ts'
import { parse } from '../../writer/parse.ts'

type Asked = z.output<typeof stageSchema>
type Lists = Pick<Asked, 'delete_stem' | 'issues' | 'tombstones' | 'triplets'>

/**
 * The whole proposal of a turn: as the call has it, or from the upload that it names. Errors: INVALID_INPUT, NOT_FOUND.
 */
export async function whole<A extends Asked>(core: Core, asked: A): Promise<A> {
  const { delete_stem, issues, proposal_digest, tombstones, triplets } = asked
  if (proposal_digest === undefined) return asked
  if (delete_stem.length + issues.length + tombstones.length + triplets.length > 0)
    throw new LockstepError('INVALID_INPUT', 'proposal_digest excludes triplets, tombstones, delete_stem and issues')
  return { ...asked, ...(await core.uploads.stage(proposal_digest, listsIn)) }
}

/** The lists of a proposal from its lines, each an object with one member: an item of one list. */
async function listsIn(chunks: AsyncIterable<Uint8Array>): Promise<Lists> {
  const lists: Lists = { delete_stem: [], issues: [], tombstones: [], triplets: [] }
  let number = 0
  for await (const line of linesOf(chunks)) {
    number += 1
    const [[member, item] = [], ...others] = Object.entries(jsonIn(line, number))
    if (others.length > 0) throw malformed(number)
    if (member === 'triplet') lists.triplets.push(parse(proposedTriplet, item, `line ${number} of the upload`))
    else if (member === 'issue') lists.issues.push(parse(issueSchema, item, `line ${number} of the upload`))
    else if (member === 'tombstone') lists.tombstones.push(item)
    else if (member === 'delete_stem') lists.delete_stem.push(item)
    else throw malformed(number)
    if (lists.issues.length > limits.turnIssuesMax) throw malformed(number)
  }
  return lists
}

const newline = 0x0a

/** Lines without their ends, as bytes. Errors: INVALID_INPUT (a line is too long). */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let pieces: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    let from = 0
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, from)) {
      yield Buffer.concat([...pieces, chunk.subarray(from, end)])
      pieces = []
      bytes = 0
      from = end + 1
    }
    pieces.push(chunk.subarray(from))
    bytes += chunk.length - from
    if (bytes > limits.uploadLineBytes)
      throw new LockstepError('INVALID_INPUT', `a line of the upload has more than ${limits.uploadLineBytes} bytes`)
  }
  if (bytes > 0) yield Buffer.concat(pieces)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function jsonIn(line: Uint8Array, number: number): object {
  try {
    const value: unknown = JSON.parse(utf8.decode(line))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  } catch {
    // Told below.
  }
  throw malformed(number)
}

function malformed(number: number): LockstepError {
  const message = 'must be an object of JSON with one member: triplet, tombstone, delete_stem or issue'
  return new LockstepError('INVALID_INPUT', `line ${number} of the upload: ${message}`)
}
