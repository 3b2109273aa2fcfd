import { type BatchCall, mediaTypes, wireLimits } from '../api/wire.ts'
import { isRepeatable } from '../client/remote-api.ts'
import { LockstepError } from '../errors.ts'
import { parsedJson } from '../kernel/json.ts'
import { limits } from '../kernel/limits.ts'
import type { Caller } from './caller.ts'
import { type Calls, operationsByName } from './calls.ts'
import type { Exchange } from './exchange.ts'
import { isLost } from './forward.ts'
import { bodyOf, keyOf, pidsIn } from './input.ts'
import { invalid } from './problem.ts'

/** Tells the metrics how one line ended. */
type Counted = (operation: string, status: number) => void

/** The calls of a batch as they arrived. */
export interface Batch {
  body: string
  lines: readonly string[]
  key: string | undefined
  /** Whether all of it may be sent again after its answer was lost. */
  isRepeatable: boolean
  /** The processes that its calls name. */
  pids: readonly number[]
}

/** Reads the body of a batch. Errors: INVALID_INPUT (no lines), LIMIT_EXCEEDED (too many lines). */
export async function batchOf(exchange: Exchange, isShared: boolean): Promise<Batch> {
  const key = keyOf(exchange)
  const body = await bodyOf(exchange, mediaTypes.lines, wireLimits.batchBytes)
  const lines = body.split('\n').filter((line) => line.trim() !== '')
  if (lines.length === 0) throw invalid('a batch has at least one line')
  if (lines.length > wireLimits.batchLinesMax) {
    throw new LockstepError('LIMIT_EXCEEDED', `a batch has at most ${wireLimits.batchLinesMax} lines`, {
      details: { lines: lines.length },
    })
  }
  if (!isShared) return { body, lines, key, isRepeatable: false, pids: [] }
  const calls = lines.flatMap(callsIn)
  const isSafe = ({ call, input }: BatchCall) => {
    const kind = operationsByName.get(call)?.facts.kind ?? 'query'
    return isRepeatable({ kind }, Object(input))
  }
  const pids = calls.flatMap(({ input }) => pidsIn(Object(input)))
  return { body, lines, key, isRepeatable: key !== undefined || calls.every(isSafe), pids }
}

/** The call of a line. A line that cannot be read is refused each time. */
function callsIn(line: string, at: number): BatchCall[] {
  try {
    return [callIn(line, at)]
  } catch {
    return []
  }
}

interface Answering {
  batch: Batch
  calls: Calls
  caller: Caller
  counted: Counted
}

/**
 * Makes the calls of a batch: its answer has one line for each call, in the same order. The calls begin in the order of
 * the lines and do not wait for each other, so the ledger decides them in that order. Each line succeeds or fails alone.
 * If another node writes the ledger, the whole batch fails: it is repeated there. Errors: NOT_WRITER.
 */
export async function answerBatch(
  exchange: Exchange,
  { batch, calls, caller, counted }: Answering,
): Promise<() => void> {
  const { key, lines } = batch
  const { trace: ofRequest } = exchange
  let queryChars = 0
  let lost: LockstepError | undefined
  const answered = async (line: string, at: number): Promise<string> => {
    let name = 'unknown'
    try {
      const { call, input, trace = ofRequest } = callIn(line, at)
      const operation = operationsByName.get(call)
      if (operation === undefined) throw new LockstepError('NOT_FOUND', `there is no operation ${call.slice(0, 100)}`)
      name = operation.name
      const lineKey = key === undefined ? undefined : `${key}:${at}`
      const asked = calls.prepared(operation, { caller, input, key: lineKey, isLine: true })
      if (operation.facts.kind === 'stream' || calls.waits(operation, asked)) {
        throw invalid(`${name}: a stream, or a call that waits, cannot be part of a batch`)
      }
      const text = `{"status":200,"answer":${JSON.stringify(await calls.ask(operation, asked, { caller, trace }))}}`
      if (operation.facts.kind === 'query') queryChars += text.length
      if (operation.facts.kind === 'query' && queryChars > limits.batchAnswerBytes) {
        throw new LockstepError('LIMIT_EXCEEDED', 'the answers of the batch are too long together', {
          hint: 'Make this call alone.',
        })
      }
      counted(name, 200)
      return text
    } catch (error) {
      if (error instanceof LockstepError && isLost(error)) lost = worse(lost, error)
      const problem = exchange.problem(error)
      counted(name, problem.status)
      return JSON.stringify({ status: problem.status, problem })
    }
  }
  const answers = await Promise.all(lines.map(answered))
  if (lost !== undefined && batch.isRepeatable) throw lost
  return () => exchange.send(200, mediaTypes.lines, `${answers.join('\n')}\n`)
}

/** If the outcome of one line is unknown, that of the batch is. */
function worse(before: LockstepError | undefined, error: LockstepError): LockstepError {
  return before?.details.outcome === 'unknown' ? before : error
}

function callIn(line: string, at: number): BatchCall {
  const value = parsedJson(line, `line ${at}`)
  const { call, input = {}, trace, ...rest } = Object(value) as Partial<BatchCall>
  if (typeof call === 'string' && Object.keys(rest).length === 0) return { call, input, trace }
  throw invalid(`line ${at}: must be an object with call, input and trace`)
}
