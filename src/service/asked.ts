import type { OperationName } from '../api/call-facts.ts'
import type { Operation } from '../api/operations.ts'
import { mediaTypes, pathOf, wireLimits } from '../api/wire.ts'
import { completed, isRepeatable } from '../client/remote-api.ts'
import { withTimeLeft } from '../client/requests.ts'
import { knownAs } from '../kernel/ids.ts'
import { parsedJson } from '../kernel/json.ts'
import type { Exchange } from './exchange.ts'
import type { Ground, Handler } from './ground.ts'
import { bodyOf, demandNoBody, inputOfQuery, keyOf, parametersOf, pidsIn } from './input.ts'
import { invalid } from './problem.ts'

/** Answers a command: the node that writes the ledger decides it. */
export function commandHandler(operation: Operation): Handler {
  return async (exchange, ground) => {
    const key = keyOf(exchange)
    if (parametersOf(exchange.url).length > 0) throw invalid('a command takes its input from the body, not the URL')
    const caller = await ground.callerOf(exchange)
    const text = await bodyOf(exchange, mediaTypes.json, wireLimits.bodyBytes)
    const input = ground.calls.prepared(operation, {
      caller,
      input: text === '' ? {} : parsedJson(text, 'the body'),
      key,
    })
    const { forward, ledger } = ground
    const asked = forward.isShared ? completed(remote(operation), input, knownAs(ledger.actor, undefined)) : input
    const startedAt = performance.now()
    const asNow = () => withTimeLeft(asked, startedAt)
    const signal = waitingSignal(exchange, ground, operation, asked)
    await forward.answer(exchange, {
      caller,
      body: () => JSON.stringify(asNow()),
      here: () => told(exchange, ground.calls.ask(operation, asNow(), { caller, signal, trace: exchange.trace })),
      isRepeatable: isRepeatable(remote(operation), asked),
      pids: pidsIn(asked),
      signal,
    })
  }
}

/** Answers a query: this node does, unless the caller asks for a fresh answer or only the writer can. */
export function queryHandler(operation: Operation): Handler {
  return async (exchange, ground) => {
    const caller = await ground.callerOf(exchange)
    demandNoBody(exchange)
    const { input, isFresh } = freshness(inputOfQuery(operation.facts, exchange.url))
    const asked = ground.calls.prepared(operation, { caller, input })
    const signal = waitingSignal(exchange, ground, operation, asked)
    await ground.forward.read(exchange, {
      caller,
      here: async () => {
        await ground.ledger.follow()
        return told(exchange, ground.calls.ask(operation, asked, { caller, signal, trace: exchange.trace }), ground)
      },
      isFresh,
      signal,
    })
  }
}

const remote = ({ facts, name, noun, verb }: Operation) => {
  return { kind: facts.kind, name: name as OperationName, path: pathOf(noun, verb) }
}

/** The input without the parameter `fresh`, which asks for an answer of the node that writes. Errors: INVALID_INPUT. */
function freshness({ fresh, ...input }: { fresh?: unknown }): { input: object; isFresh: boolean } {
  if (fresh !== undefined && fresh !== '1') throw invalid('fresh: must be 1')
  return { input, isFresh: fresh === '1' }
}

/** The signal of a call that may take long. It counts apart from short ones. */
function waitingSignal(exchange: Exchange, { begin, calls }: Ground, operation: Operation, input: object) {
  if (!calls.waits(operation, input)) return undefined
  begin(exchange, 'waiting')
  return exchange.signal({ untilDrain: true })
}

/** Sends an answer, once it is time to. In a node a query says which size of the ledger it saw. */
async function told(exchange: Exchange, asked: Promise<unknown>, ground?: Ground): Promise<() => void> {
  const answer = await asked
  const { size } = ground?.forward.isShared ? await ground.ledger.head.get() : {}
  return () => exchange.sendJson(answer, size)
}
