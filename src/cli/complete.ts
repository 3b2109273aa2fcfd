import { homedir } from 'node:os'
import type { Argument, Command, Option } from 'commander'
import type { LedgerHere } from '../api/api.ts'
import type { LockList } from '../api/shapes/locks.ts'
import { limits } from '../kernel/limits.ts'
import { serviceOf } from './context.ts'
import { writeOut } from './output.ts'
import { program } from './program.ts'
import { choicesOf } from './verb.ts'

interface Candidate {
  value: string
  about: string
}

/** Where the cursor stands in the program's tree of commands. */
interface Place {
  command: Command
  /** The arguments in front of the cursor. */
  argumentCount: number
  /** The option whose value is expected. */
  option?: Option | undefined
  dir?: string | undefined
}

/**
 * Prints the candidates for the last word of a command line, each with a tab and its description. `shown` is what the
 * shell takes for that word: bash begins a new word at a colon. Prints nothing at all if anything fails, and never
 * opens a ledger. Cost: at most one question to the service, for `completionMillis`.
 */
export async function complete(line: string, shown?: string): Promise<number> {
  try {
    const found = await candidatesFor(line)
    const { current } = wordsIn(line)
    const cut = shown !== undefined && current.endsWith(shown) ? current.length - shown.length : 0
    writeOut(found.map(({ about, value }) => `${value.slice(cut)}\t${firstLine(about)}\n`).join(''))
  } catch {
    // Somebody is typing: a message would be written into their line.
  }
  return 0
}

/** The candidates for the last word of a line. Errors: NO_LEDGER and those of the service. */
export async function candidatesFor(line: string): Promise<Candidate[]> {
  const { before, current } = wordsIn(line)
  const found = await candidatesIn(before.slice(1), current)
  return found.filter(({ value }) => value.startsWith(current))
}

const firstLine = (text: string) => text.replace(/[\r\n\t]+/g, ' ')

/** The words of a line that is not finished, without their quotes. The last one is empty behind a space. */
function wordsIn(line: string): { before: string[]; current: string } {
  const found = [...line.matchAll(/(?:[^\s'"\\]|\\.|\\$|'[^']*(?:'|$)|"(?:[^"\\]|\\.)*(?:"|$))+/gs)]
  const words = found.map(([word]) => word.replace(/\\(.)|'([^']*)'?|"((?:[^"\\]|\\.)*)"?/gs, unquoted))
  const last = found.at(-1)
  const isOpen = last !== undefined && last.index + last[0].length === line.length
  return isOpen ? { before: words.slice(0, -1), current: words.at(-1) ?? '' } : { before: words, current: '' }
}

const unquoted = (_: string, escaped = '', single = '', double = '') =>
  `${escaped}${single}${double.replace(/\\(["\\$`])/g, '$1')}`

async function candidatesIn(before: readonly string[], current: string): Promise<Candidate[]> {
  // What follows is the command line of another program.
  if (before.includes('--')) return []
  const words = before[0] === 'help' ? before.slice(1) : before
  const place = placeOf(await program(words), words)
  const { argumentCount, command, option } = place
  if (option !== undefined) return valuesOf(place, option, current)
  const [name = '', value] = current.startsWith('--') ? current.split('=', 2) : []
  if (value !== undefined) {
    const named = optionsOf(command).find(({ long }) => long === name)
    const values = named?.required ? await valuesOf(place, named, value) : []
    return values.map((one) => ({ ...one, value: `${name}=${one.value}` }))
  }
  if (current.startsWith('-')) {
    return optionsOf(command).map(({ description, long, short }) => ({
      value: long ?? short ?? '',
      about: description,
    }))
  }
  const commands = command.createHelp().visibleCommands(command)
  // A word that is no command of ours stands there.
  if (commands.length > 0 && argumentCount > 0) return []
  if (commands.length > 0) return commands.map((one) => ({ value: one.name(), about: one.description() }))
  const { registeredArguments } = command
  const last = registeredArguments.at(-1)
  const argument = registeredArguments[argumentCount] ?? (last?.variadic ? last : undefined)
  return argument === undefined ? [] : valuesOf(place, argument, current)
}

function placeOf(lockstep: Command, words: readonly string[]): Place {
  let place: Place = { command: lockstep, argumentCount: 0 }
  for (const word of words) {
    const { command, option } = place
    if (option !== undefined) {
      place = { ...place, option: undefined, ...(option.long === '--dir' ? { dir: word } : {}) }
    } else if (word.startsWith('-')) {
      const [name, value] = word.split('=', 2)
      const named = optionsOf(command).find(({ long, short }) => name === long || name === short)
      if (named?.required && value === undefined) place = { ...place, option: named }
      else if (name === '--dir') place = { ...place, dir: value }
    } else {
      const next = command.commands.find((one) => one.name() === word)
      if (next === undefined) place = { ...place, argumentCount: place.argumentCount + 1 }
      else place = { ...place, command: next }
    }
  }
  return place
}

function optionsOf(command: Command): Option[] {
  const help = command.createHelp()
  return [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)]
}

/** The closed list of values of an option or argument, or else the names that it can take, from the service. */
async function valuesOf({ command, dir }: Place, of: Argument | Option, typed: string): Promise<Candidate[]> {
  const choices = choicesOf(of)
  if (choices.length > 0) return choices.map((value) => ({ value, about: '' }))
  const ask = questionFor(command, of)
  if (ask === undefined) return []
  const service = async () => serviceOf({ dir: dir?.replace(/^~(?=\/|$)/, homedir()) })
  const asked = service().then((ledger) => (ledger === undefined ? [] : ask(ledger, typed)))
  const late = new Promise<Candidate[]>((resolve) => setTimeout(() => resolve([]), limits.completionMillis))
  return Promise.race([asked, late])
}

/** Asks for the names that fit what was typed. */
type Question = (ledger: LedgerHere, typed: string) => Promise<Candidate[]>

/** What the help calls the value says which names it can take. */
function questionFor(command: Command, of: Argument | Option): Question | undefined {
  const placeholder = 'flags' in of ? /<([^>]+)>/.exec(of.flags)?.[1] : of.name()
  if (placeholder?.endsWith('run_id')) return runs
  const isGuard = placeholder === 'name@token'
  const isLock = 'flags' in of && of.long === '--lock'
  const isOfLocks = placeholder === 'name' && command.parent?.name() === 'lock'
  if (!isGuard && !isLock && !isOfLocks) return undefined
  return (ledger, typed) => locks(ledger, ({ name, token }) => `${shortName(name, typed)}${isGuard ? `@${token}` : ''}`)
}

/** People leave out the kind of a resource, so its full name is only offered to those who have begun with it. */
function shortName(name: string, typed: string): string {
  const kind = 'resource:'
  return typed.startsWith(kind) || !name.startsWith(kind) ? name : name.slice(kind.length)
}

type Lock = LockList['locks'][number]

async function locks(ledger: LedgerHere, written: (lock: Lock) => string): Promise<Candidate[]> {
  const { locks } = await ledger.locks.list()
  const first = locks.slice(0, limits.completionNamesMax)
  return first.map((lock) => ({ value: written(lock), about: `${lock.state} ${lock.holder ?? ''}`.trim() }))
}

/** The runs that have not ended come first, because a page of all runs has only the oldest. */
async function runs(ledger: LedgerHere): Promise<Candidate[]> {
  const limit = limits.completionNamesMax
  const pages = await Promise.all([
    ledger.runs.list({ limit, status: 'running' }),
    ledger.runs.list({ limit, status: 'created' }),
    ledger.runs.list({ limit }),
  ])
  const found = new Map(pages.flatMap((page) => page.runs).map(({ run_id, status }) => [run_id, status]))
  return [...found].map(([value, about]) => ({ value, about }))
}
