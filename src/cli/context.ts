import type { Command } from 'commander'
import type { LedgerHere } from '../api/api.ts'
import type { Kind } from '../api/operation.ts'
import { findLayout } from '../disk/layout.ts'
import { userActor } from '../disk/user.ts'
import { LockstepError, messageOf } from '../errors.ts'
import type { Actor } from '../kernel/ids.ts'
import { limits } from '../kernel/limits.ts'
import type { LocalLedger } from '../ledger.ts'
import { withTrace } from '../writer/trace.ts'
import { sayClockAhead } from './clock-ahead.ts'
import type { Globals } from './globals.ts'
import { operatorTokenOf } from './operator-token.ts'
import { say, setTimes } from './output.ts'
import { progressBar } from './progress.ts'
import { serviceAt } from './service.ts'
import { traceOfProcess } from './trace.ts'
import { actorIn } from './values.ts'

/** The folder in which the command works: --dir, else LOCKSTEP_DIR, else the working directory. */
export function folderOf({ dir }: Globals): string {
  return dir ?? process.env.LOCKSTEP_DIR ?? process.cwd()
}

/**
 * The actor of `--actor` or LOCKSTEP_ACTOR: `<type>:<id>` or an agent's bare id, with the party that it acts for.
 * Undefined means the system's user, or the actor of the token.
 */
export function actorOf({ actor = process.env.LOCKSTEP_ACTOR, ...globals }: Globals): Actor | undefined {
  const { onBehalfOf: on_behalf_of = process.env.LOCKSTEP_ON_BEHALF_OF } = globals
  const named = actor === undefined || actor === '' ? undefined : actorIn(actor)
  if (on_behalf_of === undefined || on_behalf_of === '') return named
  const isOfToken = named === undefined && (globals.operator || bearerToken() !== undefined)
  // The service adds the actor of the token.
  return { ...(isOfToken ? {} : (named ?? userActor())), on_behalf_of } as Actor
}

/**
 * The actor of a command and of those that it starts; undefined if a token says who calls, and nobody else does.
 * `holder` is the actor if no other is named.
 */
export function actorFor(globals: Globals, holder?: string): Actor | undefined {
  const { actor = process.env.LOCKSTEP_ACTOR } = globals
  if (actor !== undefined && actor !== '') return actorOf(globals)
  if (globals.operator || bearerToken() !== undefined) return undefined
  return holder === undefined ? (actorOf(globals) ?? userActor()) : actorOf({ ...globals, actor: `agent:${holder}` })
}

/**
 * The ledger of the service, for this command's caller; undefined if no service answers. With a token, the service
 * knows the caller by it.
 */
export function serviceOf(globals: Globals): Promise<LedgerHere | undefined> {
  const token = tokenOf(globals)
  const actor = actorOf(globals) ?? (token === undefined ? userActor() : undefined)
  return serviceAt(folderOf(globals), { actor, token })
}

/** Never the operator's unless told so, so that no agent uses it by accident. */
function tokenOf(globals: Globals): string | undefined {
  return globals.operator ? operatorTokenOf(findLayout(folderOf(globals))) : bearerToken()
}

/** The token of this process, which says who calls. */
export function bearerToken(): string | undefined {
  const { LOCKSTEP_BEARER_TOKEN: token } = process.env
  return token === '' ? undefined : token
}

/** Without a service nobody checks a token, and the entries would name the user instead of the token's actor. */
function demandNoToken(): void {
  if (bearerToken() === undefined) return
  throw new LockstepError('LEDGER_UNAVAILABLE', 'LOCKSTEP_BEARER_TOKEN is set, but no service answers', {
    details: { outcome: 'not_applied' },
    hint: 'Start the service, or unset the variable to work as the user of the system.',
  })
}

/**
 * Does the work over the service, or else with the ledger open in this process, for as long as the work takes. A service
 * that begins or ends has the ledger while it does not answer, so a command waits for it for a few seconds.
 */
export async function withLedger<T>(
  globals: Globals,
  command: string,
  work: (ledger: LedgerHere) => Promise<T>,
  kind: Kind = 'command',
): Promise<T> {
  const until =
    performance.now() + Math.min(limits.connectMillisMax, (globals.openWait ?? Number.POSITIVE_INFINITY) * 1000)
  for (;;) {
    const served = await serviceOf(globals)
    if (served !== undefined) return work(served)
    let isBegun = false
    const begin = (ledger: LocalLedger) => {
      isBegun = true
      return work(ledger)
    }
    try {
      return await withOpenLedger(globals, command, begin, kind)
    } catch (error) {
      const isServed = error instanceof LockstepError && error.code === 'LEDGER_SERVED'
      if (isBegun || !isServed || performance.now() > until) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, limits.retryPauseMillis))
  }
}

/**
 * Opens the ledger, does the work and closes the ledger, so that a direct command keeps it open only briefly. If another
 * process keeps it open, or it cannot be written, queries and streams read a snapshot (ADR 0051). The ledger's modules
 * are loaded here, on first use, because they load more slowly than the command line's.
 */
export async function withOpenLedger<T>(
  globals: Globals,
  command: string,
  work: (ledger: LocalLedger) => Promise<T>,
  kind: Kind = 'command',
): Promise<T> {
  demandNoToken()
  const actor = actorOf(globals)
  const { openLedger } = await import('../open.ts').catch(serviceEnded)
  const ledger = await openLedger({
    dir: folderOf(globals),
    command: `lockstep ${command}`,
    authn: 'os',
    ...(actor === undefined ? {} : { actor }),
    ...(globals.openWait === undefined ? {} : { open_wait_s: globals.openWait }),
    ...(kind === 'command' ? {} : { snapshot: 'if-busy' }),
  })
  try {
    // A stream goes on with what is appended later.
    if (ledger.isSnapshot && kind === 'query') say(asOf((await ledger.head.get()).size))
    const trace = traceOfProcess()
    return await (trace === undefined ? work(ledger) : withTrace(trace, () => work(ledger)))
  } finally {
    if (ledger.counts.entries > 0) await sayClockAhead(globals, ledger)
    // The answer is durable already. If the head file cannot be refreshed, a warning is enough.
    await ledger.close().catch((error: unknown) => say(`warning: ${messageOf(error)}`))
  }
}

/** The small bundle for commands over a service has no ledger to open. */
function serviceEnded(cause: unknown): never {
  throw new LockstepError('LEDGER_UNAVAILABLE', 'the service ended when the command had begun', {
    details: { outcome: 'not_applied' },
    hint: 'Run the command again.',
    cause,
  })
}

/** Says on stderr that the answer is from a snapshot. */
export const asOf = (size: number) => `as of size ${size}`

/**
 * Asks a read-only question, and keeps the ledger open only for short moments. The index is written in slices. A
 * question that takes longer is answered from a snapshot, which shows the ledger as of one moment (ADR 0032).
 */
export async function askLedger<T>(
  globals: Globals,
  command: string,
  question: (ledger: LedgerHere) => Promise<T>,
): Promise<T> {
  const served = await serviceOf(globals)
  return served === undefined ? askOpenLedger(globals, command, question) : question(served)
}

/** The same without a service, for what only the ledger in this process can do. */
export async function askOpenLedger<T>(
  globals: Globals,
  command: string,
  question: (ledger: LocalLedger) => Promise<T>,
  kind: Kind = 'query',
): Promise<T> {
  const bar = await progressBar(globals, 'index')
  let enough = Number.POSITIVE_INFINITY
  try {
    for (;;) {
      const ask = async (ledger: LocalLedger) => {
        const asked = await ledger.askFor(limits.sliceMillis, question)
        // Other processes append during the pauses. Once the entries that existed at the start are indexed, the
        // snapshot covers the rest.
        const isDue = asked === 'late' || ('indexed' in asked && asked.indexed.done >= enough)
        return isDue ? ledger.snapshot() : asked
      }
      const asked = await withOpenLedger(globals, command, ask, kind)
      if ('answer' in asked) return asked.answer
      if (!('indexed' in asked)) return await question(asked).finally(() => asked.close())
      const { done, total } = asked.indexed
      enough = Math.min(enough, total)
      bar.show(done, total)
      await new Promise((resolve) => setTimeout(resolve, limits.slicePauseMillis))
    }
  } finally {
    bar.stop()
  }
}

/** Reads from a snapshot of the ledger, without a time limit, because the reader of our output may be slow. */
export async function withSnapshot<T>(
  globals: Globals,
  command: string,
  work: (ledger: LedgerHere) => Promise<T>,
): Promise<T> {
  const served = await serviceOf(globals)
  if (served !== undefined) return work(served)
  const copied = async (ledger: LocalLedger) =>
    ledger.isSnapshot ? { answer: await work(ledger) } : { snapshot: await ledger.snapshot() }
  const done = await withOpenLedger(globals, command, copied, 'query')
  return 'answer' in done ? done.answer : work(done.snapshot).finally(() => done.snapshot.close())
}

/** The options of the program. A verb can have an option of the same name, which then is not the program's. */
export function globalsOf(command: Command): Globals {
  const globals = topOf(command).opts<Globals>()
  setTimes(globals)
  return globals
}

/**
 * Splits the arguments at `--`: our own words before it, and the command to run behind it. Commander joins the two in
 * one list. Without the split, a forgotten NAME would lock the command's first word and run its second.
 */
export function aroundDashes(self: Command, words: readonly string[]): { before: string[]; behind: string[] } {
  // Commander keeps the raw arguments, but its types do not declare them.
  const { rawArgs } = topOf(self) as Command & { rawArgs: string[] }
  const dashes = rawArgs.indexOf('--')
  const count = dashes === -1 ? 0 : rawArgs.length - dashes - 1
  return { before: words.slice(0, words.length - count), behind: words.slice(words.length - count) }
}

function topOf(command: Command): Command {
  return command.parent === null ? command : topOf(command.parent)
}

/** Adds examples to a command's help. */
export function examples(command: Command, ...lines: string[]): Command {
  return command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`)
}
