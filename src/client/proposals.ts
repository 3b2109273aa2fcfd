import { hash } from 'node:crypto'
import type { CallOptions } from '../api/operation.ts'
import { objectPath } from '../api/wire.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import type { RemoteOperation, Transport } from './transport.ts'

/** The lists of a proposal, and what one line of an upload calls an item. */
const lists = { delete_stem: 'delete_stem', issues: 'issue', tombstones: 'tombstone', triplets: 'triplet' } as const

/** Whether a call brings the proposal of a turn. */
export function hasProposal({ name }: RemoteOperation): boolean {
  return name === 'turns.apply' || name === 'turns.stage'
}

/**
 * Makes a call that brings a proposal. A proposal that is too long for a call is uploaded first, and the call names it
 * by its digest. The service may drop an upload before the call arrives; then it is sent again. Errors: those of the
 * call.
 */
export async function askWithProposal(
  transport: Transport,
  operation: RemoteOperation,
  { input, options }: { input: object; options: CallOptions },
): Promise<unknown> {
  const body = uploadOf(input)
  if (body === undefined) return transport.ask(operation, input, options)
  const proposal_digest = hash('sha256', body, 'hex')
  const others = Object.entries(input).filter(([member]) => !Object.hasOwn(lists, member))
  const asked = { ...Object.fromEntries(others), proposal_digest }
  const uploaded = async () => {
    await transport.put(objectPath(proposal_digest), body, options)
    return transport.ask(operation, asked, options)
  }
  try {
    return await uploaded()
  } catch (error) {
    const isGone = error instanceof LockstepError && error.details.proposal_digest === proposal_digest
    if (isGone && error.code === 'NOT_FOUND') return uploaded()
    throw error
  }
}

/** A proposal as JSON Lines; undefined if it fits into the call, or has no JSON, which the call will tell. */
function uploadOf(input: object): Buffer | undefined {
  const lines: Buffer[] = []
  let bytes = 0
  for (const [list, member] of Object.entries(lists)) {
    const items: unknown = (input as Record<string, unknown>)[list] ?? []
    if (!Array.isArray(items)) return undefined
    for (const item of items) {
      const line = lineOf(member, item)
      if (line === undefined) return undefined
      lines.push(line)
      bytes += line.length
    }
  }
  return bytes > limits.uploadFromBytes ? Buffer.concat(lines) : undefined
}

function lineOf(member: string, item: unknown): Buffer | undefined {
  try {
    return Buffer.from(`${JSON.stringify({ [member]: item })}\n`)
  } catch {
    return undefined
  }
}
