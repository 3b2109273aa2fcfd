import * as z from 'zod'
import { readJson } from '../../kernel/json.ts'
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

/** Documents of Cursor. Unknown members are ignored. */
const documentSchema = z.looseObject({
  conversation_id: sessionId.optional(),
  cwd: folder.nullish(),
  duration: z.number().min(0).nullish(),
  error_message: z.unknown().optional(),
  hook_event_name: eventName,
  session_id: sessionId.optional(),
  subagent_id: agentId.nullish(),
  tool_input: z.unknown().optional(),
  tool_name: toolName.optional(),
  tool_output: z.unknown().optional(),
  tool_use_id: toolUseId.optional(),
  workspace_roots: z.array(folder).max(100).nullish(),
})

const toolSchema = z.looseObject({ tool_input: z.unknown().optional(), tool_name: toolName, tool_use_id: toolUseId })

const kinds: Readonly<Record<string, HookEvent['kind']>> = {
  postToolUse: 'after_tool',
  postToolUseFailure: 'after_tool',
  preToolUse: 'before_tool',
  sessionEnd: 'session_end',
  sessionStart: 'session_start',
  subagentStop: 'agent_end',
}

const editing = ['Delete', 'Edit', 'EditNotebook', 'MultiEdit', 'StrReplace', 'Write']

function toolOf(name: string, input: unknown, cwd: string): Pick<ToolCall, 'kind' | 'paths'> {
  const members = ['file_path', 'path', 'target_file', 'target_notebook']
  if (editing.includes(name)) return { kind: 'edit', paths: pathsIn(input, members, cwd) }
  if (name === 'Shell') return { kind: 'shell', paths: [] }
  return { kind: name === 'WebFetch' || name === 'WebSearch' ? 'network' : 'other', paths: [] }
}

/** Cursor. Source: its hooks reference, 2026-11. */
export const readCursor: Reader = (document) => {
  const given = parse(documentSchema, document, 'the document of Cursor')
  const { conversation_id, cwd, hook_event_name: name, session_id, subagent_id, workspace_roots } = given
  const place = parse(folder, cwd ?? workspace_roots?.[0], 'cwd')
  const common = {
    agent_id: subagent_id ?? undefined,
    cwd: place,
    name,
    session_id: parse(sessionId, conversation_id ?? session_id, 'conversation_id'),
  }
  const kind = kinds[name] ?? 'other'
  if (kind !== 'before_tool' && kind !== 'after_tool') return { ...common, kind }
  const { tool_input: input, tool_name, tool_use_id: id } = parse(toolSchema, given, 'the document of Cursor')
  const tool = { id, input, name: tool_name, ...toolOf(tool_name, input, place) }
  if (kind === 'before_tool') return { ...common, kind, tool }
  const { duration, error_message, tool_output = error_message } = given
  const duration_ms = duration == null ? undefined : Math.round(duration)
  const is_failure = name === 'postToolUseFailure' || exitCodeIn(tool_output) !== 0
  return { ...common, kind, duration_ms, is_failure, response: tool_output, tool }
}

/** The exit code in the JSON text that Cursor gives as a tool's output; 0 if there is none. */
function exitCodeIn(output: unknown): number {
  const found = typeof output === 'string' ? readJson(output) : { value: output }
  const { exitCode = 0 } = Object('value' in found ? found.value : {}) as { exitCode?: unknown }
  return typeof exitCode === 'number' ? exitCode : 0
}
