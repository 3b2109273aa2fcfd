import { absolute, type Reader } from '../event.ts'
import { type Dialect, readShaped } from './claude.ts'
import { hasPatch, pathsOfPatch } from './patch.ts'

const dialect: Dialect = {
  harness: 'Codex',
  kinds: {
    PreToolUse: 'before_tool',
    PostToolUse: 'after_tool',
    SessionStart: 'session_start',
    SessionEnd: 'session_end',
    SubagentStop: 'agent_end',
  },
  tool: (name, input, cwd) => {
    const { command, input: patch = command, workdir } = Object(input) as Record<string, unknown>
    const text = Array.isArray(patch) ? patch.join('\n') : String(patch ?? '')
    const from = typeof workdir === 'string' ? (absolute([workdir], cwd)?.[0] ?? cwd) : cwd
    const paths = () => {
      const named = pathsOfPatch(text)
      return named && absolute(named, from)
    }
    if (name === 'apply_patch') return { kind: 'edit', paths: paths() }
    // Codex applies a patch that a command passes to `apply_patch` like one that was passed to the tool.
    if (['Bash', 'exec_command', 'local_shell', 'shell', 'unified_exec'].includes(name)) {
      return { kind: 'shell', paths: hasPatch(text) ? paths() : [] }
    }
    return { kind: name === 'web_search' ? 'network' : 'other', paths: [] }
  },
  // Codex calls no hook after a tool that failed.
  isFailure: () => false,
}

/** Codex. Source: the schemas of its hooks, 2026-11. */
export const readCodex: Reader = (document) => readShaped(document, dialect)
