import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** A system call of a trace: the lines at which it began and returned, the file it was on, and the data of a write. */
export interface Call {
  name: string
  began: number
  returned: number
  ok: boolean
  /** The file or pipe of its descriptor, or all paths that it names. */
  path: string
  descriptor: number | undefined
  data: string
}

const named = ['?link', '?linkat', '?mkdir', '?mkdirat', '?rename', '?renameat2']
const traced = ['fdatasync', 'fsync', 'write', 'pwrite64', 'sendto', ...named]

/** Whether this machine can trace. */
export function canTrace(): boolean {
  return spawnSync('strace', ['-f', '-y', '-e', 'trace=fsync', '-o', '/dev/null', 'true']).status === 0
}

/** The words before a program that trace it into a file. */
export function tracing(file: string): string[] {
  return ['strace', '-f', '-y', '-s', '65536', '-e', `trace=${traced.join(',')}`, '-o', file]
}

export function readTrace(file: string): Call[] {
  return parseTrace(readFileSync(file, 'latin1'))
}

/**
 * Calls in the order in which they began. strace writes a call on one line if nothing else happened between its
 * beginning and its return, otherwise on two, so line numbers order all of them.
 */
export function parseTrace(text: string): Call[] {
  const calls: Call[] = []
  const unfinished = new Map<string, Call>()
  for (const [line, content] of text.split('\n').entries()) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(content) ?? []
    const resumed = /^<\.\.\. (\w+) resumed>/.exec(rest)
    if (resumed !== null) {
      const call = unfinished.get(thread)
      if (call === undefined) continue
      unfinished.delete(thread)
      Object.assign(call, { returned: line, ok: isOk(rest), data: call.data || dataIn(rest) })
      continue
    }
    const [, name, text = ''] = /^(\w+)\((.*)$/.exec(rest) ?? []
    if (name === undefined) continue
    const [, descriptor, path] = /^(\d+)<(.*?)>(?=[,) ]|$)/.exec(text) ?? []
    const call: Call = {
      name,
      began: line,
      returned: line,
      ok: isOk(rest),
      path: path ?? [...text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, each]) => each).join(' '),
      descriptor: descriptor === undefined ? undefined : Number(descriptor),
      data: dataIn(text),
    }
    calls.push(call)
    if (rest.endsWith('<unfinished ...>')) {
      Object.assign(call, { returned: Number.POSITIVE_INFINITY, ok: false })
      unfinished.set(thread, call)
    }
  }
  return calls
}

function isOk(text: string): boolean {
  return / = \d+$/.test(text)
}

/** The quoted text of a write, without its quotes; ASCII of the data stands in it as it is, but for quotes. */
function dataIn(text: string): string {
  const [, data = ''] = /, "((?:[^"\\]|\\.)*)"/.exec(text) ?? []
  return data.replaceAll('\\"', '"')
}

const writes = new Set(['pwrite64', 'sendto', 'write'])
const syncs = new Set(['fdatasync', 'fsync'])

/** Writes to stdout that hold a text, as lines of the trace. */
export function saidAt(calls: readonly Call[], text: string): number | undefined {
  return calls.find(({ data, descriptor, name }) => writes.has(name) && descriptor === 1 && data.includes(text))?.began
}

/**
 * Whether what was written to files after one line was synced before another: the last write that holds the text
 * is followed by a sync of the same file that began after it had returned, and that returned before `to`.
 */
export function isSynced(
  calls: readonly Call[],
  { file, text = '', from = -1, to }: { file: RegExp; text?: string; from?: number; to: number },
): boolean {
  const isWrite = ({ began, data, name, path }: Call) =>
    writes.has(name) && file.test(path) && data.includes(text) && began > from && began < to
  const write = calls.filter(isWrite).at(-1)
  return (
    write !== undefined &&
    calls.some(
      ({ began, name, ok, path, returned }) =>
        syncs.has(name) && path === write.path && began > write.returned && ok && returned < to,
    )
  )
}

/**
 * Whether a name was put in place (made, linked or renamed) and its folder synced, all between two lines. A call
 * names what it puts in place last.
 */
export function isNamed(
  calls: readonly Call[],
  { name, from = -1, to }: { name: RegExp; from?: number; to: number },
): boolean {
  const naming = calls.find(
    (call) =>
      /^(?:link|mkdir|rename)/.test(call.name) &&
      name.test(call.path) &&
      call.ok &&
      call.began > from &&
      call.began < to,
  )
  if (naming === undefined) return false
  const folder = dirname(naming.path.split(' ').at(-1) ?? '')
  return calls.some(
    ({ began, name, ok, path, returned }) =>
      syncs.has(name) && path === folder && began > naming.returned && ok && returned < to,
  )
}

/** Folders that were made between two lines. */
export function foldersMade(calls: readonly Call[], { from, to }: { from: number; to: number }): string[] {
  return calls
    .filter(({ began, name, ok }) => name.startsWith('mkdir') && ok && began > from && began < to)
    .map(({ path }) => path)
}
