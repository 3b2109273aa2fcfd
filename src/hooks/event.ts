import { resolve } from 'node:path'
import * as z from 'zod'

/** One call of a tool, as the hooks before and after it tell of it. */
export interface ToolCall {
  /** Names the call within its session. */
  id: string
  name: string
  input: unknown
  kind: ToolKind
  /** The absolute paths of the files that it edits. Undefined if an edit does not say which files it changes. */
  paths: readonly string[] | undefined
}
export type ToolKind = 'edit' | 'network' | 'other' | 'shell'

interface Common {
  /** The agent within the session, if it is not the main one. */
  agent_id: string | undefined
  cwd: string
  /** The harness's own name of the event. */
  name: string
  session_id: string
}

/** What happened, in the words that all harnesses share. */
export type HookEvent = Common &
  (
    | { kind: 'before_tool'; tool: ToolCall }
    | {
        kind: 'after_tool'
        /** As the harness measured it. */
        duration_ms: number | undefined
        is_failure: boolean
        response: unknown
        tool: ToolCall
      }
    | { kind: 'agent_end' }
    | { kind: 'other' }
    | { kind: 'session_end' }
    | { kind: 'session_start' }
  )

/** Reads the documents that a harness gives its hooks on stdin. Errors: INVALID_INPUT. */
export type Reader = (document: unknown) => HookEvent

/** Ids become parts of actor ids and keys, where `/` and `:` have a meaning. */
export const sessionId = z.string().regex(/^[A-Za-z0-9._@+=-]{1,64}$/, 'must be an id of up to 64 characters')
export const agentId = z.string().regex(/^[A-Za-z0-9._@+=-]{1,40}$/, 'must be an id of up to 40 characters')
export const toolUseId = z.string().regex(/^[\x21-\x7e]{1,100}$/, 'must be an id of up to 100 characters')
export const toolName = z.string().regex(/^[\x21-\x7e]{1,160}$/, 'must be the name of a tool')
export const folder = z.string().min(1).max(4_096)
export const eventName = z.string().regex(/^[A-Za-z]{1,60}$/, 'must be the name of an event')

/** The most files of one edit. A larger edit is refused. */
export const editPathsMax = 64

/** The members of a tool's input that name the one file that it edits. */
export function pathsIn(input: unknown, members: readonly string[], cwd: string): string[] | undefined {
  const given = Object(input) as Record<string, unknown>
  const path = members.map((member) => given[member]).find((value) => typeof value === 'string' && value !== '')
  return typeof path === 'string' ? absolute([path], cwd) : undefined
}

/** Absolute paths, each once; undefined if one of them is no path. */
export function absolute(paths: readonly string[], cwd: string): string[] | undefined {
  if (paths.some((path) => path.length > 4_096 || path.includes('\0'))) return undefined
  return [...new Set(paths.map((path) => resolve(cwd, path)))]
}
