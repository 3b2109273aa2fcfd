import { hash } from 'node:crypto'
import { conflictLine, conflictMessage, type PolicyProblem, problemText } from '../domain/policy/document.ts'
import { LockstepError } from '../errors.ts'
import { type Config, configSchema } from '../kernel/config.ts'
import { JsonReader } from '../kernel/json-reader.ts'
import { jsonProblems, pointerStep, Unreadable } from '../kernel/json-value.ts'
import { limits } from '../kernel/limits.ts'
import { homeName } from './layout.ts'
import { readHint, readRegularFile } from './regular-file.ts'

/** The name of the configuration file in messages. */
export const configFileName = `${homeName}/config.json`

/** A configuration and its text. The text has no byte order mark, so that it can be stored as JSON. */
export interface ConfigText {
  config: Config
  /** The SHA-256 of the text. */
  sha256: string
  text: string
}

/** The configuration in a file. Errors: CONFIG_INVALID, with the problems of the file; FILE_DENIED, FILE_FAILED. */
export function readConfig(path: string): ConfigText {
  const read = readConfigFile(path)
  if ('problems' in read) throw invalidConfig(read.problems)
  return read
}

/** CONFIG_INVALID for a file with problems. */
export function invalidConfig(problems: readonly PolicyProblem[]): LockstepError {
  const [first] = problems
  return new LockstepError(
    'CONFIG_INVALID',
    first === undefined ? 'the configuration is invalid' : problemText(first),
    {
      details: { problems: problems.slice(0, 100) },
      hint: 'Correct the file. "lockstep config check" shows all problems. What was in force stays in force.',
    },
  )
}

/** What keeps a text from being a configuration. */
export interface InvalidConfig {
  isMissing?: true
  problems: PolicyProblem[]
}

/** The configuration in a file, or all of its problems. Errors: FILE_DENIED, FILE_FAILED. */
export function readConfigFile(path: string): ConfigText | InvalidConfig {
  const read = readRegularFile(path, limits.homeFileBytes)
  const problem = (message: string) => ({ problems: [{ file: configFileName, line: 1, message }] })
  if (read === undefined) return { ...problem('the file is missing'), isMissing: true }
  if ('is' in read) return problem(`the file ${read.is}`)
  if ('size' in read) return problem(`the file has ${read.size} bytes, but at most ${limits.homeFileBytes} are allowed`)
  try {
    return configOf(new TextDecoder('utf-8', { fatal: true }).decode(read.bytes))
  } catch {
    return problem('the file is not UTF-8')
  }
}

/** The configuration that a text states, or all of its problems. */
export function configOf(text: string): ConfigText | InvalidConfig {
  const places = new Map<string, number>()
  const at = (offset: number, message: string): PolicyProblem => {
    return { file: configFileName, line: text.slice(0, offset).split('\n').length, message }
  }
  const conflict = conflictLine(text)
  if (conflict !== undefined) return { problems: [{ ...at(0, conflictMessage), line: conflict }] }
  if (text.trim() === '') return { problems: [at(0, 'the file is empty')] }
  const reader = new JsonReader(text, places)
  try {
    reader.read()
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    const { problem = 'syntax' } = reader.problems.at(-1) ?? {}
    return { problems: [at(reader.at, `the file cannot be read from here on: ${jsonProblems[problem]}`)] }
  }
  if (reader.problems.length > 0) {
    return {
      problems: reader.problems.map(({ pointer, problem }) =>
        at(places.get(pointer) ?? 0, `${dotted(pointer)}: ${jsonProblems[problem]}`),
      ),
    }
  }
  const parsed = configSchema.safeParse(JSON.parse(text))
  if (parsed.success) return { config: parsed.data, sha256: hash('sha256', text, 'hex'), text }
  const problems = parsed.error.issues.flatMap((issue) => {
    const path = issue.path.map((step) => String(step))
    // An unknown key is reported at the key.
    const paths = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...path, key]) : [path]
    const message = issue.code === 'unrecognized_keys' ? 'is not a known setting' : issue.message
    return paths.map((steps) => at(nearest(places, steps), `${steps.join('.') || 'the file'}: ${message}`))
  })
  return { problems }
}

/**
 * Whether the file accepts a disk that does not keep modes. This is known before anything is opened, and even if the rest
 * of the file is broken: on such a disk whoever can break the file can also write this setting.
 */
export function acceptsPermissions(path: string): boolean {
  return /"accept_permissions"\s*:\s*true\b/.test(readHint(path, limits.homeFileBytes) ?? '')
}

/** The offset of the value at a path, or of the nearest parent in the text. */
function nearest(places: ReadonlyMap<string, number>, steps: readonly string[]): number {
  for (let count = steps.length; count > 0; count -= 1) {
    const offset = places.get(steps.slice(0, count).map(pointerStep).join(''))
    if (offset !== undefined) return offset
  }
  return 0
}

function dotted(pointer: string): string {
  return pointer === '' ? 'the file' : pointer.slice(1).replaceAll('/', '.')
}
