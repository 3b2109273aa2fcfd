import type { Stats } from 'node:fs'
import { messageOf, systemCodeOf } from '../errors.ts'

/**
 * A change within this time of the last look may have left no trace in the times of a file: kernels before 6.13 keep
 * them to 4 ms or 10 ms, FAT to 2 s.
 */
const racyMillis = 20
const racyMillisOfSeconds = 2_100

/** LevelDB's log was deleted, replaced or cut, and nothing else is wrong. */
export class LogLost extends Error {}

/** A file that is missing is named without the words of the system. */
export function problemOf(error: unknown): string {
  const path = error instanceof Error && 'path' in error ? error.path : undefined
  return systemCodeOf(error) === 'ENOENT' && path !== undefined ? `${path} is gone` : messageOf(error)
}

/** The newest of LevelDB's logs by name. Throws LogLost. */
export function newestLog(names: readonly string[]): string {
  const logs = names.filter((name) => /^\d+\.log$/.test(name))
  if (logs.length === 0) throw new LogLost('its log is gone')
  return logs.reduce((newest, name) => (numberOf(name) > numberOf(newest) ? name : newest))
}

/** The number in the name of one of LevelDB's files. */
export function numberOf(name: string): number {
  return Number.parseInt(name, 10)
}

/** The same file or folder, by whatever path. */
export function isSame(one: Stats, other: Stats): boolean {
  return one.ino === other.ino && one.dev === other.dev
}

/** The same file, with nothing taken away. */
export function isGrown(now: Stats, before: Stats): boolean {
  return isSame(now, before) && now.size >= before.size
}

/** Whether another change just after this one might have the same time. */
export function isYoung({ ctimeMs }: Stats): boolean {
  const isOfSeconds = ctimeMs % 1_000 === 0
  return Date.now() - ctimeMs < (isOfSeconds ? racyMillisOfSeconds : racyMillis)
}
