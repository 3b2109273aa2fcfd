import type { Command } from 'commander'
import type { Actor } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { LockstepError, messageOf } from '../errors.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { sayClockAhead } from './clock-ahead.ts'
import type { Globals } from './globals.ts'
import { say } from './output.ts'
import { progressBar } from './progress.ts'

/** Where the command works: the folder named by --dir or LOCKSTEP_DIR, else the working directory. */
export function folderOf({ dir }: Globals): string {
  return dir ?? process.env.LOCKSTEP_DIR ?? process.cwd()
}

/** `--actor` or LOCKSTEP_ACTOR, as `<type>:<id>` or a bare agent's id; undefined for the user at the keyboard. */
export function actorOf({ actor = process.env.LOCKSTEP_ACTOR }: Globals): Actor | undefined {
  return actorFrom(actor)
}

/** An actor as the command line has it; undefined where there is none. Errors: INVALID_INPUT, a type without an id. */
export function actorFrom(actor: string | undefined): Actor | undefined {
  if (actor === undefined || actor === '') return undefined
  if (/^(agent|human|system):$/.test(actor))
    throw new LockstepError('INVALID_INPUT', `the actor "${actor}" has a type and no id`)
  const [, type, id] = /^(agent|human|system):(.+)$/s.exec(actor) ?? []
  return id === undefined
    ? { actor_id: actor, actor_type: 'agent' }
    : { actor_id: id, actor_type: type as Actor['actor_type'] }
}

/**
 * Opens the ledger, does the work and closes it: a direct command holds the ledger no longer than that. The command
 * line's modules load fast; the ledger's are loaded here, when they are needed.
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
    if (ledger.counts.entries > 0) sayClockAhead(globals, ledger)
    // What was answered is durable; a head file that could not be refreshed is said, and does not take it back.
    await ledger.close().catch((error: unknown) => say(`warning: ${messageOf(error)}`))
  }
}

/**
 * Asks a question that changes nothing. It holds the ledger for a moment at a time: the index that it waits for is
 * written in slices, and what takes longer is asked of a snapshot, which is as of that moment (ADR 0032).
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
        // Others append meanwhile: once what was there at first is indexed, the snapshot gets the rest.
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

/** Reads a snapshot of the ledger for as long as it takes, as a reader of our output may be slow. */
export async function withSnapshot<T>(
  globals: Globals,
  command: string,
  work: (ledger: Ledger) => Promise<T>,
): Promise<T> {
  const snapshot = await withLedger(globals, command, (ledger) => ledger.snapshot())
  return work(snapshot).finally(() => snapshot.close())
}

/** `withLedger` with its first words said: what opens the ledger for a moment, time and again, while nobody keeps it open. */
export type WithLedger = <T>(work: (ledger: Ledger) => Promise<T>) => Promise<T>

/** The options of a command together with those of the program. */
export function globalsOf(command: Command): Globals {
  return command.optsWithGlobals<Globals>()
}

/**
 * What stands before -- and the command behind it, which is another program's to its last word. Commander joins the two
 * in one list; without telling them apart a forgotten NAME would lock the command's first word and run the second.
 */
export function aroundDashes(self: Command, words: readonly string[]): { before: string[]; behind: string[] } {
  let top = self
  while (top.parent !== null) top = top.parent
  // Commander keeps the words it was given, but does not say so in its types.
  const { rawArgs } = top as Command & { rawArgs: string[] }
  const dashes = rawArgs.indexOf('--')
  const count = dashes === -1 ? 0 : rawArgs.length - dashes - 1
  return { before: words.slice(0, words.length - count), behind: words.slice(words.length - count) }
}

/** Refuses options that mean nothing for what is asked for; passed over in silence they would be thought obeyed. */
export function refuseOptions(self: Command, attributes: readonly string[], what: string): void {
  const stray = self.options.find(
    (option) =>
      attributes.includes(option.attributeName()) && self.getOptionValueSource(option.attributeName()) === 'cli',
  )
  if (stray !== undefined) throw new LockstepError('INVALID_INPUT', `${stray.long} is not for ${what}`)
}

/** A whole number from the command line. Errors: INVALID_INPUT. */
export function wholeNumber(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value
  throw new LockstepError('INVALID_INPUT', `"${text}" is not a whole number`)
}

/** Seconds, as `90`, `90s`, `15m` or `2h`. Errors: INVALID_INPUT. */
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
