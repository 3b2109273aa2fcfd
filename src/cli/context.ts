import type { Command } from 'commander'
import { LockstepError, messageOf } from '../errors.ts'
import type { Actor } from '../kernel/ids.ts'
import { limits } from '../kernel/limits.ts'
import type { Ledger } from '../ledger.ts'
import { sayClockAhead } from './clock-ahead.ts'
import type { Globals } from './globals.ts'
import { say } from './output.ts'
import { progressBar } from './progress.ts'

/** The folder in which the command works: --dir, else LOCKSTEP_DIR, else the working directory. */
export function folderOf({ dir }: Globals): string {
  return dir ?? process.env.LOCKSTEP_DIR ?? process.cwd()
}

/** The actor of `--actor` or LOCKSTEP_ACTOR: `<type>:<id>` or an agent's bare id. Undefined means the system's user. */
export function actorOf({ actor = process.env.LOCKSTEP_ACTOR }: Globals): Actor | undefined {
  return actorFrom(actor)
}

/** Parses an actor of the command line; undefined if none is given. Errors: INVALID_INPUT, for a type without an id. */
export function actorFrom(actor: string | undefined): Actor | undefined {
  if (actor === undefined || actor === '') return undefined
  if (/^(agent|human|system):$/.test(actor))
    throw new LockstepError('INVALID_INPUT', `the actor "${actor}" has a type but no id`)
  const [, type, id] = /^(agent|human|system):(.+)$/s.exec(actor) ?? []
  return id === undefined
    ? { actor_id: actor, actor_type: 'agent' }
    : { actor_id: id, actor_type: type as Actor['actor_type'] }
}

/**
 * Opens the ledger, does the work and closes the ledger, so that a direct command keeps it open only briefly. The
 * ledger's modules are loaded here, on first use, because they load more slowly than the command line's.
 */
export async function withLedger<T>(
  globals: Globals,
  command: string,
  work: (ledger: Ledger) => Promise<T>,
): Promise<T> {
  const { openLedger } = await import('../open.ts')
  const actor = actorOf(globals)
  const ledger = await openLedger({
    dir: folderOf(globals),
    command: `lockstep ${command}`,
    ...(actor === undefined ? {} : { actor }),
    ...(globals.openWait === undefined ? {} : { open_wait_s: globals.openWait }),
  })
  try {
    return await work(ledger)
  } finally {
    if (ledger.counts.entries > 0) await sayClockAhead(globals, ledger)
    // The answer is durable already. If the head file cannot be refreshed, a warning is enough.
    await ledger.close().catch((error: unknown) => say(`warning: ${messageOf(error)}`))
  }
}

/**
 * Asks a read-only question, and keeps the ledger open only for short moments. The index is written in slices. A
 * question that takes longer is answered from a snapshot, which shows the ledger as of one moment (ADR 0032).
 */
export async function askLedger<T>(
  globals: Globals,
  command: string,
  question: (ledger: Ledger) => Promise<T>,
): Promise<T> {
  const bar = await progressBar(globals, 'index')
  let enough = Number.POSITIVE_INFINITY
  try {
    for (;;) {
      const asked = await withLedger(globals, command, async (ledger) => {
        const asked = await ledger.askFor(limits.sliceMillis, question)
        // Other processes append during the pauses. Once the entries that existed at the start are indexed, the
        // snapshot covers the rest.
        const isDue = asked === 'late' || ('indexed' in asked && asked.indexed.done >= enough)
        return isDue ? ledger.snapshot() : asked
      })
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
  work: (ledger: Ledger) => Promise<T>,
): Promise<T> {
  const snapshot = await withLedger(globals, command, (ledger) => ledger.snapshot())
  return work(snapshot).finally(() => snapshot.close())
}

/** The options of a command, merged with the options of the program. */
export function globalsOf(command: Command): Globals {
  return command.optsWithGlobals<Globals>()
}

/**
 * Splits the arguments at `--`: our own words before it, and the command to run behind it. Commander joins the two in
 * one list. Without the split, a forgotten NAME would lock the command's first word and run its second.
 */
export function aroundDashes(self: Command, words: readonly string[]): { before: string[]; behind: string[] } {
  let top = self
  while (top.parent !== null) top = top.parent
  // Commander keeps the raw arguments, but its types do not declare them.
  const { rawArgs } = top as Command & { rawArgs: string[] }
  const dashes = rawArgs.indexOf('--')
  const count = dashes === -1 ? 0 : rawArgs.length - dashes - 1
  return { before: words.slice(0, words.length - count), behind: words.slice(words.length - count) }
}

/** Refuses options that have no effect on this request. If they were ignored, users would think that they worked. */
export function refuseOptions(self: Command, attributes: readonly string[], what: string): void {
  const stray = self.options.find(
    (option) =>
      attributes.includes(option.attributeName()) && self.getOptionValueSource(option.attributeName()) === 'cli',
  )
  if (stray !== undefined) throw new LockstepError('INVALID_INPUT', `${stray.long} cannot be used with ${what}`)
}

/** Parses a whole number. Errors: INVALID_INPUT. */
export function wholeNumber(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value
  throw new LockstepError('INVALID_INPUT', `"${text}" is not a whole number`)
}

/** Parses a duration such as `90`, `90s`, `15m` or `2h` into seconds. Errors: INVALID_INPUT. */
export function seconds(text: string): number {
  const [, digits, unit = 's'] = /^(\d{1,9})(s|m|h)?$/.exec(text) ?? []
  if (digits === undefined)
    throw new LockstepError('INVALID_INPUT', `"${text}" is not a duration like 90, 90s, 15m or 2h`)
  return Number(digits) * (unit === 'h' ? 3600 : unit === 'm' ? 60 : 1)
}

/** Adds examples to a command's help. */
export function examples(command: Command, ...lines: string[]): Command {
  return command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`)
}
