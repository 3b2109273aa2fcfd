import type { Reader } from './event.ts'
import type { HarnessName } from './forms.ts'
import { readClaude } from './harness/claude.ts'
import { readCodex } from './harness/codex.ts'
import { readCursor } from './harness/cursor.ts'
import { readGemini } from './harness/gemini.ts'

/** The readers of the documents of every harness. */
export const readers: Readonly<Record<HarnessName, Reader>> = {
  claude: readClaude,
  codex: readCodex,
  cursor: readCursor,
  gemini: readGemini,
}
