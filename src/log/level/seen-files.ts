import type { Stats } from 'node:fs'
import { messageOf, systemCodeOf } from '../../errors.ts'

/**
 * A change within this time after the last look may leave a file's times unchanged. Kernels before 6.13 record times
 * with a resolution of 4 ms or 10 ms, FAT with 2 s.
 */
const racyMillis = 20
const racyMillisOfSeconds = 2_100

/** LevelDB's log was deleted, replaced or cut, and nothing else is wrong. */
export class LogLost extends Error {}

/** Describes a problem. For a missing file it names the path instead of giving the system's message. */
export function problemOf(error: unknown): string {
  const path = error instanceof Error && 'path' in error ? error.path : undefined
  return systemCodeOf(error) === 'ENOENT' && path !== undefined ? `${path} no longer exists` : messageOf(error)
}

/** The newest of LevelDB's logs, by the number in its name. Throws LogLost if there is none. */
export function newestLog(names: readonly string[]): string {
  const logs = names.filter((name) => /^\d+\.log$/.test(name))
  if (logs.length === 0) throw new LogLost('its log no longer exists')
  return logs.reduce((newest, name) => (numberOf(name) > numberOf(newest) ? name : newest))
}

/** The number in the name of one of LevelDB's files. */
export function numberOf(name: string): number {
  return Number.parseInt(name, 10)
}

/** Whether both are the same file or folder, possibly at different paths. */
export function isSame(one: Stats, other: Stats): boolean {
  return one.ino === other.ino && one.dev === other.dev
}

/** Whether it is the same file and has not become shorter. */
export function isGrown(now: Stats, before: Stats): boolean {
  return isSame(now, before) && now.size >= before.size
}

/** Whether another change right after this one might get the same time. */
export function isYoung({ ctimeMs }: Stats): boolean {
  const isOfSeconds = ctimeMs % 1_000 === 0
  return Date.now() - ctimeMs < (isOfSeconds ? racyMillisOfSeconds : racyMillis)
}
