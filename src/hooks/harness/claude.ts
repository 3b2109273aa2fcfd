import * as z from 'zod'
import { parse } from '../../writer/parse.ts'
import {
  agentId,
  eventName,
  folder,
  type HookEvent,
  pathsIn,
  type Reader,
  sessionId,
  type ToolCall,
  toolName,
  toolUseId,
} from '../event.ts'

/** Documents of Claude Code's shape. Codex and Gemini CLI have it too. Unknown members are ignored. */
const documentSchema = z.looseObject({
  agent_id: agentId.nullish(),
  cwd: folder,
  duration_ms: z.number().min(0).nullish(),
  hook_event_name: eventName,
  session_id: sessionId,
  tool_input: z.unknown().optional(),
  tool_name: toolName.optional(),
  tool_response: z.unknown().optional(),
  tool_use_id: toolUseId.optional(),
})
type Document = z.output<typeof documentSchema>

/** How a harness of this shape differs: its names of events and tools. */
export interface Dialect {
  harness: string
  kinds: Readonly<Record<string, HookEvent['kind']>>
  tool: (name: string, input: unknown, cwd: string) => Pick<ToolCall, 'kind' | 'paths'>
  isFailure: (document: Readonly<Record<string, unknown>>) => boolean
  /** The id of a call, where the document has none. */
  idOf?: (document: Readonly<Record<string, unknown>>) => string
}

/** Reads a document of Claude Code's shape. Errors: INVALID_INPUT. */
export function readShaped(document: unknown, dialect: Dialect): HookEvent {
  const read: Document = parse(documentSchema, document, `the document of ${dialect.harness}`)
  const { agent_id, cwd, hook_event_name: name, session_id } = read
  const common = { agent_id: agent_id ?? undefined, cwd, name, session_id }
  const kind = dialect.kinds[name] ?? 'other'
  if (kind !== 'before_tool' && kind !== 'after_tool') return { ...common, kind }
  const { tool_input: input, tool_name, tool_use_id } = parse(toolSchema, read, `the document of ${dialect.harness}`)
  const id = tool_use_id ?? dialect.idOf?.(read) ?? ''
  const tool = {
    id: parse(toolUseId, id, 'tool_use_id'),
    input,
    name: tool_name,
    ...dialect.tool(tool_name, input, cwd),
  }
  if (kind === 'before_tool') return { ...common, kind, tool }
  const { duration_ms, error, tool_response = error } = read
  const is_failure = dialect.isFailure(read)
  return { ...common, kind, duration_ms: duration_ms ?? undefined, is_failure, response: tool_response, tool }
}

const toolSchema = z.looseObject({
  tool_input: z.unknown().optional(),
  tool_name: toolName,
  tool_use_id: toolUseId.optional(),
})

const dialect: Dialect = {
  harness: 'Claude Code',
  kinds: {
    PreToolUse: 'before_tool',
    PostToolUse: 'after_tool',
    PostToolUseFailure: 'after_tool',
    SessionStart: 'session_start',
    SessionEnd: 'session_end',
    SubagentStop: 'agent_end',
  },
  tool: (name, input, cwd) => {
    if (['Edit', 'MultiEdit', 'Write'].includes(name))
      return { kind: 'edit', paths: pathsIn(input, ['file_path'], cwd) }
    if (name === 'NotebookEdit') return { kind: 'edit', paths: pathsIn(input, ['notebook_path'], cwd) }
    if (name === 'Bash' || name === 'PowerShell') return { kind: 'shell', paths: [] }
    return { kind: name === 'WebFetch' || name === 'WebSearch' ? 'network' : 'other', paths: [] }
  },
  isFailure: ({ hook_event_name }) => hook_event_name === 'PostToolUseFailure',
}

/** Claude Code. Source: its hooks reference, 2026-11. */
export const readClaude: Reader = (document) => readShaped(document, dialect)
