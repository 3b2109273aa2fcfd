import { isUtf8 } from 'node:buffer'
import { hash } from 'node:crypto'
import type * as z from 'zod'
import { membersOf, unwrapped } from '../api/hints.ts'
import { type AnyFacts, formOf, formsOf } from '../api/operation.ts'
import { LockstepError } from '../errors.ts'
import { lockIdSchema, requestKeySchema } from '../kernel/ids.ts'
import { parsedJson } from '../kernel/json.ts'
import { limits } from '../kernel/limits.ts'
import { parse } from '../writer/parse.ts'
import type { Exchange } from './exchange.ts'
import { invalid, notBegun } from './problem.ts'

/** The bytes of all bodies that are in memory now. */
let bytesInFlight = 0

/**
 * Reads the body of a request as text, at most `bytesMax` bytes of it.
 * Errors: UNSUPPORTED_MEDIA_TYPE, LIMIT_EXCEEDED, INVALID_INPUT (not UTF-8), LEDGER_UNAVAILABLE (too many bodies).
 */
export function bodyOf(exchange: Exchange, type: string, bytesMax: number): Promise<string> {
  const { incoming } = exchange
  const length = Number(exchange.header('content-length') ?? 0)
  const isEmpty = length === 0 && exchange.header('transfer-encoding') === undefined
  if (!isEmpty || exchange.header('content-type') !== undefined) demandType(exchange, type)
  if (length > bytesMax) return Promise.reject(tooLarge(bytesMax))
  if (isEmpty) return Promise.resolve('')
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const take = (chunk: Buffer) => {
      exchange.bodyBytes += chunk.length
      bytesInFlight += chunk.length
      if (exchange.bodyBytes > bytesMax) refuse(tooLarge(bytesMax))
      else if (bytesInFlight > limits.bodyBytesInFlight) refuse(tooMany())
      else chunks.push(chunk)
    }
    // The rest is read and dropped, so that the client gets the answer. It takes no memory, so it does not count.
    const refuse = (error: LockstepError) => {
      chunks.length = 0
      incoming.off('data', take).resume()
      reject(error)
    }
    incoming.on('data', take)
    incoming.once('end', () => {
      const bytes = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
      if (isUtf8(bytes)) resolve(bytes.toString('utf8'))
      else reject(invalid('the body is not valid UTF-8'))
    })
    // Nobody reads the answer to a request that was cut off.
    incoming.once('close', () => {
      if (!incoming.complete) reject(invalid('the request was cut off'))
    })
  })
}

/** Called when an exchange has ended, so that its body no longer counts. */
export function forgetBody({ bodyBytes }: Exchange): void {
  bytesInFlight -= bodyBytes
}

/** Errors: INVALID_INPUT. A body would be ignored, and its sender would not know. */
export function demandNoBody(exchange: Exchange): void {
  const length = exchange.header('content-length') ?? '0'
  if (length === '0' && exchange.header('transfer-encoding') === undefined) return
  throw invalid('a query takes its input from the parameters of the URL, not from a body')
}

/** Errors: UNSUPPORTED_MEDIA_TYPE. */
export function demandType(exchange: Exchange, expected: string): void {
  const [type = '', ...parameters] = (exchange.header('content-type') ?? '').toLowerCase().split(';')
  const isUnicode = parameters.every((parameter) => /^\s*charset\s*=\s*"?utf-?8"?\s*$/.test(parameter))
  const encoding = exchange.header('content-encoding') ?? 'identity'
  if (type.trim() === expected && isUnicode && encoding === 'identity') return
  throw new LockstepError(
    'UNSUPPORTED_MEDIA_TYPE',
    `the body must be ${expected} in UTF-8 without a content encoding`,
    {
      details: { expected },
    },
  )
}

/**
 * The input of a query or stream from the parameters of its URL. A member that is text is taken verbatim; any other is
 * JSON. Errors: INVALID_INPUT.
 */
export function inputOfQuery(facts: AnyFacts, url: string): object {
  const input: Record<string, unknown> = Object.create(null)
  for (const [name, text] of parametersOf(url)) {
    if (Object.hasOwn(input, name)) throw invalid(`the parameter ${name} is given more than once`)
    const members = [...formsOf(facts).values()].map((form) => memberOf(form, name))
    // An unknown parameter stays text. The schema refuses it, after the caller's grants were checked.
    const isKnown = members.some((member) => member !== undefined)
    const isText = !isKnown || members.some((member) => member !== undefined && isVerbatim(member))
    input[name] = isText ? text : parsedJson(text, `the parameter ${name}`)
  }
  return { ...input }
}

/** The parameters of a URL, decoded. Errors: INVALID_INPUT. */
export function parametersOf(url: string): [name: string, text: string][] {
  const at = url.indexOf('?')
  const pairs = at === -1 ? [] : url.slice(at + 1).split('&')
  return pairs
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=')
      const [name, text] = equals === -1 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
      return [decoded(name), decoded(text)]
    })
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw invalid('the parameters of the URL are not valid percent-encoded UTF-8')
  }
}

/** Whether a member is text or one of several words, so that a parameter has it verbatim and not as JSON. */
export function isVerbatim(member: z.ZodType): boolean {
  const { type } = unwrapped(member, 'input').def
  return type === 'string' || type === 'enum'
}

/** A member of a form's input; undefined if the form has none of this name. */
export function memberOf(form: z.ZodType | undefined, name: string): z.ZodType | undefined {
  return form && membersByForm(form).get(name)
}

const known = new WeakMap<z.ZodType, Map<string, z.ZodType>>()

function membersByForm(form: z.ZodType): Map<string, z.ZodType> {
  let members = known.get(form)
  if (members === undefined) {
    members = new Map(membersOf(unwrapped(form, 'input')))
    known.set(form, members)
  }
  return members
}

/** The processes that an input names, as far as it is valid. */
export function pidsIn(input: object): number[] {
  const { pids } = input as { pids?: unknown }
  return Array.isArray(pids) ? pids.filter((pid: unknown) => Number.isSafeInteger(pid)) : []
}

/** The key of a request, from its header. Errors: INVALID_INPUT. */
export function keyOf(exchange: Exchange): string | undefined {
  const header = exchange.header('idempotency-key')
  return header === undefined ? undefined : parse(requestKeySchema, header, 'the header Idempotency-Key')
}

/**
 * The input with the request's key. A form with an `idempotency_key` takes it there. A form that may bring its own
 * `lock_id` takes it there: as it is if it has the form of one, or else derived by SHA-256. Other forms are safe to
 * repeat without a key. A line of a batch that has its own key keeps it.
 * Errors: INVALID_INPUT (the body has another key).
 */
export function withKey(facts: AnyFacts, input: object, key: string | undefined, isLine = false): object {
  if (key === undefined) return input
  const form = formOf(facts, input)
  const member = ['idempotency_key', 'lock_id'].find((name) => memberOf(form, name)?.safeParse(undefined).success)
  if (member === undefined) return input
  const value = member === 'lock_id' ? lockIdOf(key) : key
  const given = (input as Record<string, unknown>)[member]
  if (given === undefined) return { ...input, [member]: value }
  if (isLine || given === value) return input
  throw invalid(`${member} of the body differs from the header Idempotency-Key`)
}

function lockIdOf(key: string): string {
  return lockIdSchema.safeParse(key).success ? key : `lck_${hash('sha256', key, 'base64url')}`
}

function tooLarge(bytesMax: number): LockstepError {
  return new LockstepError('LIMIT_EXCEEDED', `the body is larger than ${bytesMax} bytes`, {
    details: { bytes_max: bytesMax },
  })
}

function tooMany(): LockstepError {
  return notBegun('the bodies of all requests are too large together', 'Repeat the request a little later.')
}
