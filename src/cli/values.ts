import { isAbsolute, resolve, sep } from 'node:path'
import { LockstepError } from '../errors.ts'
import { actorNamed } from '../kernel/actor-name.ts'
import type { Actor } from '../kernel/ids.ts'
import { parsedJson } from '../kernel/json.ts'
import { limits } from '../kernel/limits.ts'
import { readText } from './input-file.ts'

// How the text of an option or an argument becomes a value. Every reader throws INVALID_INPUT.

/**
 * Reads a path, which is relative to the working directory on a command line and to the root in an operation. An empty
 * path is probably an empty variable: it must not become the working directory, so the operation refuses it.
 */
export function fromHere(path: string): string {
  return path === '' ? path : resolve(path)
}

/**
 * Reads a path to be locked, relative to the working directory. Its end, and `..` behind a link, keep their meaning: only
 * the ledger knows what they are.
 */
export function pathFromHere(path: string): string {
  return path === '' || isAbsolute(path) ? path : `${process.cwd()}${sep}${path}`
}

/** Reads a whole number. */
export function wholeNumber(text: string): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value
  throw invalid(`"${text}" is not a whole number`)
}

/** Reads a duration such as `90`, `90s`, `15m`, `2h` or `30d` as seconds. */
export function seconds(text: string): number {
  const [, digits, unit = 's'] = /^(\d{1,9})(s|m|h|d)?$/.exec(text) ?? []
  if (digits === undefined) throw invalid(`"${text}" is not a duration like 90, 90s, 15m, 2h or 30d`)
  return Number(digits) * secondsIn(unit)
}

/**
 * Reads a moment as a time in UTC. `1h` means one hour ago. A date is its midnight. A date or time without an offset is
 * in the time zone of this machine, as people mean it.
 */
export function moment(text: string, nowMillis = Date.now()): string {
  const [, digits, unit] = /^(\d{1,9})(s|m|h|d|w)$/.exec(text) ?? []
  if (unit !== undefined) return inUtc(nowMillis - Number(digits) * secondsIn(unit) * 1000, text)
  if (!/^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?$/i.test(text))
    throw notAMoment(text)
  const [date = '', time] = text.split(/[T ]/i)
  const parsed = Date.parse(
    time === undefined ? `${date}T00:00` : `${date}T${time.replace(/([+-]\d\d)(\d\d)$/, '$1:$2')}`,
  )
  // Date.parse takes 2026-02-30 for 2 March.
  const midnight = new Date(`${date}T00:00Z`)
  const isDate = !Number.isNaN(midnight.getTime()) && midnight.toISOString().slice(0, 10) === date
  return inUtc(isDate ? parsed : Number.NaN, text)
}

function inUtc(millis: number, text: string): string {
  const time = new Date(millis)
  if (Number.isNaN(time.getTime()) || millis < 0) throw notAMoment(text)
  return time.toISOString()
}

function notAMoment(text: string): LockstepError {
  return invalid(`"${text}" is not a time: use 1h, 2d, 2026-02-02, 2026-02-02T12:00:00Z or 2026-02-02T12:00:00+01:00`)
}

function secondsIn(unit: string): number {
  return { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }[unit] ?? 1
}

/** Reads an actor: `<type>:<id>`, or the bare id of an agent. */
export function actorIn(text: string): Actor {
  if (/^(agent|human|system):$/.test(text)) throw invalid(`the actor "${text}" has a type but no id`)
  return actorNamed(text)
}

/** Reads a grant of a lock: `NAME@TOKEN`. */
export function grantIn(text: string): { name: string; token: number } {
  const at = text.lastIndexOf('@')
  if (at < 1) throw invalid(`must be NAME@TOKEN, not "${text}"`)
  return { name: text.slice(0, at), token: wholeNumber(text.slice(at + 1)) }
}

/** Reads the target of an event: `TYPE:NAME`. */
export function targetIn(text: string): { name: string; target_type: string } {
  const [, target_type = '', name = ''] = /^([a-z_]+):(.+)$/.exec(text) ?? []
  if (name === '') throw invalid(`must be TYPE:NAME, not "${text}"`)
  return { name, target_type }
}

/** Collects the values of a repeatable option. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

/** Reads pairs of the form `KEY=VALUE`, each key once. */
export function pairsIn(texts: readonly string[]): Record<string, string> {
  const pairs = new Map<string, string>()
  for (const pair of texts) {
    const at = pair.indexOf('=')
    if (at < 1) throw invalid(`must be KEY=VALUE, not "${pair}"`)
    const key = pair.slice(0, at)
    if (pairs.has(key)) throw invalid(`${key} is given more than once`)
    pairs.set(key, pair.slice(at + 1))
  }
  return Object.fromEntries(pairs)
}

/** The members of a scope that are true or false. All others are text. */
const flagsOfScope: readonly string[] = ['attorney_signoff', 'audit']

/** Reads pairs as a scope. */
export function scopeIn(texts: readonly string[]): Record<string, string | boolean> {
  const isFlag = ([key, value]: [string, string]) => flagsOfScope.includes(key) && /^(?:true|false)$/.test(value)
  const typed = (pair: [string, string]) => (isFlag(pair) ? [pair[0], pair[1] === 'true'] : pair)
  return Object.fromEntries(Object.entries(pairsIn(texts)).map(typed))
}

/** Reads a JSON document from a file, or from stdin for `-`. Errors: also LIMIT_EXCEEDED, NOT_FOUND, FILE_DENIED. */
export function jsonIn(file: string): unknown {
  return parsedJson(readText(file, limits.documentBytes), file)
}

function invalid(message: string): LockstepError {
  return new LockstepError('INVALID_INPUT', message)
}
