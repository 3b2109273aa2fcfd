import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/**
 * Watches whether the reader of stdout has ended, as in `lockstep audit tail | head -1`. A write would fail, but the
 * next one may never come, and Node cannot poll a descriptor. So on Linux the reader of a pipe is found in /proc.
 * Nothing is concluded unless a reader was seen before, since the processes of other users cannot be examined.
 */
export class PipeReader {
  /** The descriptor that reads the pipe, as a path in /proc. */
  #seen: string | undefined

  /** Whether a reader was seen and no process reads the pipe any more. Cost: one pass over /proc if the reader ended. */
  get hasEnded(): boolean {
    const pipe = linkOf('/proc/self/fd/1')
    if (!pipe?.startsWith('pipe:')) return false
    if (this.#seen !== undefined && linkOf(this.#seen) === pipe) return false
    const found = readerOf(pipe)
    if (found === undefined) return this.#seen !== undefined
    if (found !== 'unknown') this.#seen = found
    return false
  }
}

/** A descriptor that reads a pipe. `unknown` if a process of another user in our session may have one. */
function readerOf(pipe: string): string | undefined {
  const session = sessionOf('self')
  let found: string | undefined
  for (const pid of namesIn('/proc')?.filter((name) => /^\d+$/.test(name)) ?? []) {
    const folder = `/proc/${pid}/fd`
    const descriptors = namesIn(folder)
    if (descriptors === undefined && session !== undefined && sessionOf(pid) === session) found = 'unknown'
    const reader = descriptors?.find((fd) => linkOf(`${folder}/${fd}`) === pipe && isForReading(pid, fd))
    if (reader !== undefined) return `${folder}/${reader}`
  }
  return found
}

/** The lowest two bits of the flags, which are octal, are 0 for a descriptor that only reads. */
function isForReading(pid: string, fd: string): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(textOf(`/proc/${pid}/fdinfo/${fd}`) ?? '')?.[1]
  return flags !== undefined && (Number.parseInt(flags, 8) & 3) === 0
}

/** The session of a process: the fourth field after its name, which is in parentheses. */
function sessionOf(pid: string): string | undefined {
  return textOf(`/proc/${pid}/stat`)?.split(') ').at(-1)?.split(' ')[3]
}

const textOf = (path: string) => attempt(() => readFileSync(path, 'latin1'))
const linkOf = (path: string) => attempt(() => readlinkSync(path))
const namesIn = (path: string) => attempt(() => readdirSync(path))

/** Processes end while they are examined, and those of others cannot be read. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
