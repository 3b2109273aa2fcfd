import { type BatchCall, mediaTypes, wireLimits } from '../api/wire.ts'
import { LockstepError } from '../errors.ts'
import { parsedJson } from '../kernel/json.ts'
import { limits } from '../kernel/limits.ts'
import type { Caller } from './caller.ts'
import { type Calls, operationsByName } from './calls.ts'
import type { Exchange } from './exchange.ts'
import { bodyOf, keyOf } from './input.ts'
import { invalid } from './problem.ts'

/** Tells the metrics how one line ended. */
type Counted = (operation: string, status: number) => void

/**
 * Answers a batch: one line for each call, in the same order. The calls begin in the order of the lines and do not wait
 * for each other, so the ledger decides them in that order. Each line succeeds or fails alone.
 * Errors: INVALID_INPUT (no lines), LIMIT_EXCEEDED (too many lines).
 */
export async function answerBatch(exchange: Exchange, caller: Caller, calls: Calls, counted: Counted): Promise<void> {
  const key = keyOf(exchange)
  const body = await bodyOf(exchange, mediaTypes.lines, wireLimits.batchBytes)
  const lines = body.split('\n').filter((line) => line.trim() !== '')
  if (lines.length === 0) throw invalid('a batch has at least one line')
  if (lines.length > wireLimits.batchLinesMax) {
    throw new LockstepError('LIMIT_EXCEEDED', `a batch has at most ${wireLimits.batchLinesMax} lines`, {
      details: { lines: lines.length },
    })
  }
  const { trace: ofRequest } = exchange
  let queryChars = 0
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
      const problem = exchange.problem(error)
      counted(name, problem.status)
      return JSON.stringify({ status: problem.status, problem })
    }
  }
  const answers = await Promise.all(lines.map(answered))
  exchange.send(200, mediaTypes.lines, `${answers.join('\n')}\n`)
}

function callIn(line: string, at: number): BatchCall {
  const value = parsedJson(line, `line ${at}`)
  const { call, input = {}, trace, ...rest } = Object(value) as Partial<BatchCall>
  if (typeof call === 'string' && Object.keys(rest).length === 0) return { call, input, trace }
  throw invalid(`line ${at}: must be an object with call, input and trace`)
}
