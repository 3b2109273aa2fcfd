import { hash } from 'node:crypto'
import { canonicalText, type Json } from '../../kernel/canonical.ts'
import { pathsIn, type Reader } from '../event.ts'
import { type Dialect, readShaped } from './claude.ts'

const dialect: Dialect = {
  harness: 'Gemini CLI',
  kinds: {
    BeforeTool: 'before_tool',
    AfterTool: 'after_tool',
    SessionStart: 'session_start',
    SessionEnd: 'session_end',
  },
  tool: (name, input, cwd) => {
    if (name === 'write_file' || name === 'replace') return { kind: 'edit', paths: pathsIn(input, ['file_path'], cwd) }
    if (name === 'run_shell_command') return { kind: 'shell', paths: [] }
    return { kind: name === 'web_fetch' || name === 'google_web_search' ? 'network' : 'other', paths: [] }
  },
  isFailure: ({ tool_response }) => Boolean(Object(tool_response).error),
  // Gemini CLI names no call. The time of the event and what was asked name it well enough to find a repeat.
  idOf: ({ timestamp, tool_input, tool_name }) => {
    const asked = canonicalText([tool_name, tool_input ?? null, timestamp ?? null] as Json)
    return hash('sha256', asked).slice(0, 32)
  },
}

/** Gemini CLI. Source: its hooks reference, 2026-11. */
export const readGemini: Reader = (document) => readShaped(document, dialect)
