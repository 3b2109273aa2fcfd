import { hooksPath, mediaTypes, paths, wireLimits } from '../api/wire.ts'
import { type HarnessName, harnessNames } from '../hooks/forms.ts'
import type { Hooks } from '../hooks/hooks.ts'
import { parsedJson } from '../kernel/json.ts'
import type { Caller } from './caller.ts'
import type { Calls } from './calls.ts'
import type { Exchange } from './exchange.ts'
import { bodyOf, parametersOf } from './input.ts'
import { invalid } from './problem.ts'

/** What the routes need of the service. */
interface Ground {
  callerOf: (exchange: Exchange) => Caller | Promise<Caller>
  calls: Calls
  hooks: Hooks
}

/** The routes of the hooks, one for each harness. */
export const hookRoutes = harnessNames.map((harness) => {
  return [
    'POST',
    hooksPath(harness),
    (exchange: Exchange, ground: Ground) => answerHook(exchange, harness, ground),
  ] as const
})

/**
 * Answers a hook of a harness with what the hook prints. The hook states in headers what is known outside of the
 * document. Errors: those of `Hooks.answer`.
 */
async function answerHook(exchange: Exchange, harness: HarnessName, { callerOf, calls, hooks }: Ground): Promise<void> {
  const caller = await callerOf(exchange)
  if (caller.place.kind !== 'socket')
    throw invalid('hooks name files of this machine, so they are answered at the socket only')
  if (parametersOf(exchange.url).length > 0) throw invalid('a hook takes no parameters')
  const text = await bodyOf(exchange, mediaTypes.json, wireLimits.batchBytes)
  const { actor, authn } = caller
  const stated = {
    actor,
    named: headerOf(exchange, 'lockstep-actor'),
    on_behalf_of: headerOf(exchange, 'lockstep-on-behalf-of'),
  }
  const document = parsedJson(text, 'the body')
  const process = exchange.header('lockstep-process')
  const shown = headerOf(exchange, 'lockstep-lock-id')
  const answer = await hooks.answer({ authn, document, harness, process, shown, stated }, (known) =>
    calls.admit({ ...caller, actor: known }, `POST ${paths.hooks}`, ['agent']),
  )
  exchange.send(200, mediaTypes.hook, answer)
}

/** The text of a header. Node reads the bytes of headers as Latin-1. */
function headerOf(exchange: Exchange, name: string): string | undefined {
  const value = exchange.header(name)
  return value === undefined ? undefined : Buffer.from(value, 'latin1').toString('utf8')
}
