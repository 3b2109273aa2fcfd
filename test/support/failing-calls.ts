import fs from 'node:fs'
import fsPromises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

/** Which calls fail, counted from 1 from the moment of `arm` on, and with which code of the system. */
export interface Fault {
  code: string
  from: number
  to: number
  /** Counts from the start, and not only from `arm` on. */
  isArmed?: boolean
}

/** Calls of the file system that fail when told to. */
export interface FailingCalls {
  /** The names of the calls that failed, and how many there were in all, failed or not. */
  readonly failed: string[]
  readonly seen: number
  /** Counts from here; without effect but during some work. */
  arm(): void
  during<T>(fault: Fault, work: () => Promise<T>): Promise<T>
}

type Call = (...words: unknown[]) => unknown
type Calls = Record<string, Call>

const sync =
  'closeSync fstatSync fsyncSync linkSync lstatSync mkdirSync openSync readSync readdirSync renameSync rmSync statSync unlinkSync writeFileSync'
const promised = 'link lstat mkdir open readdir rename rm unlink'

/** Stands between the program and Node's file system for the time of some work; LevelDB, which is not Node, goes on. */
export function failingCalls(): FailingCalls {
  const state = { failed: [] as string[], seen: 0, isArmed: false }
  const fails = (name: string, { code, from, to }: Fault): Error | undefined => {
    if (!state.isArmed) return undefined
    state.seen += 1
    if (state.seen < from || state.seen > to) return undefined
    state.failed.push(name)
    return Object.assign(new Error(`${code} by the test, ${name}`), { code, syscall: name })
  }
  const replace = (module: Calls, names: string, fault: Fault, fail: (error: Error) => unknown) => {
    const originals = names.split(' ').map((name): [string, Call] => [name, module[name] as Call])
    for (const [name, original] of originals) {
      module[name] = (...words) => {
        const error = fails(name, fault)
        // A descriptor is closed also where the system says that closing it failed.
        if (error !== undefined && name === 'closeSync') original(...words)
        return error === undefined ? original(...words) : fail(error)
      }
    }
    return () => Object.assign(module, Object.fromEntries(originals))
  }
  return {
    get failed() {
      return state.failed
    },
    get seen() {
      return state.seen
    },
    arm: () => {
      state.isArmed = true
    },
    during: async (fault, work) => {
      Object.assign(state, { failed: [], isArmed: fault.isArmed === true, seen: 0 })
      const restore = [
        replace(fs as unknown as Calls, sync, fault, (error) => {
          throw error
        }),
        replace(fsPromises as unknown as Calls, promised, fault, (error) => Promise.reject(error)),
      ]
      syncBuiltinESMExports()
      try {
        return await work()
      } finally {
        for (const put of restore) put()
        syncBuiltinESMExports()
        state.isArmed = false
      }
    },
  }
}
